//! HTTP: Copr's API version 3, what the farm adds to it, repositories and results, and a few pages for people.
//!
//! Everything that comes in is hostile: it is bounded, checked and refused with a 4xx that says which field and
//! why. A 5xx is our own bug; it shows nothing of the inside and names its entry in the log. Bodies are
//! streamed to disk, never held in memory. This crate reaches no cloud and no builder: it writes to the
//! database what is wanted, and others do it.
//!
//! Start with [`app`] in `site` and the outermost layer `http::middleware`, then `endpoint` (the operations of
//! the OpenAPI document, which [`openapi_document`] prints) and `page` (everything else). `view` has what goes
//! over the wire, `caller` who may do what, `lookup` how names become rows, `http` what is about HTTP in
//! general (`http::error`: what becomes of failures), `files` what is on disk (`files::spool`: how an upload
//! becomes a source).

mod caller;
mod endpoint;
mod files;
mod http;
mod lookup;
mod openapi;
mod page;
mod probe;
mod repositories;
mod settings;
mod site;
mod state;
mod view;

pub use http::{error::Error, web_address::mistake as address_mistake};
pub use openapi::openapi_document;
pub use probe::serve_probes;
pub use settings::{ApiSettings, DEFAULT_TOKEN_LIFETIME, Limits};
pub use site::{app, serve};
pub use state::ApiState;
