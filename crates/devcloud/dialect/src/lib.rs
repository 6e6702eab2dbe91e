//! EC2's Query API as bytes: what a request says, whether it was signed by whom it says, and how an answer is written.
//!
//! Nothing here knows of machines, of a ledger or of HTTP's connections. [`Form`] holds the parameters of a request,
//! [`request`] the types they are decoded into (what a type does not name is refused by name), [`Xml`] writes answers.

mod decode;
mod error;
mod filters;
mod form;
pub mod ids;
mod number;
mod paging;
pub mod request;
pub mod signature;
mod version;
mod xml;

pub use error::ApiError;
pub use filters::{Filters, tag_values};
pub use form::Form;
pub use number::whole_number;
pub use paging::{Page, within};
pub use version::Api;
pub use xml::Xml;
