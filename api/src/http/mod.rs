//! HTTP in general: addresses, bodies and their fields, connections and clients, errors, pages of lists, and what happens to every
//! request. Nothing here knows an operation or a page.

pub(crate) mod address;
pub(crate) mod arguments;
pub(crate) mod clients;
pub(crate) mod error;
pub(crate) mod fields;
pub(crate) mod kept;
pub(crate) mod middleware;
mod origin;
pub(crate) mod pace;
pub(crate) mod paging;
pub(crate) mod parameters;
pub(crate) mod server;
pub(crate) mod streamed;
pub(crate) mod web_address;
pub(crate) mod written;
