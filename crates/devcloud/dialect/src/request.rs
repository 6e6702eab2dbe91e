//! What each action is asked for, as types. A field here is a parameter that is taken; there are no others.

mod groups;
mod instances;
mod keys;
mod places;
mod tags;
pub mod text;

use serde::Deserialize;

pub use groups::*;
pub use instances::*;
pub use keys::*;
pub use places::*;
pub use tags::*;

use text::FilterValue;

/// Declares requests: each has only parameters that are named here.
macro_rules! requests {
    ($($(#[$note:meta])* $name:ident { $($(#[$field_note:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$note])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$field_note])* pub $field: $type,)*
        }
    )*};
}
pub(crate) use requests;

/// `Filter.N`: a name, and values of which one has to match.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Filter {
    /// The filter's name, such as `tag:role`. EC2 has an error of its own for a filter without one.
    pub name: Option<String>,
    /// Patterns. EC2 takes a filter that has none: nothing passes it.
    #[serde(default)]
    pub value: Vec<FilterValue>,
}

#[cfg(test)]
mod tests;
