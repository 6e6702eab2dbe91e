//! The templates in `api/console/`, compiled once.

use handlebars::Handlebars;
use poem::{
    Response,
    http::{HeaderValue, header},
};
use serde_json::{Value, json};

use crate::{
    files::static_file::INERT,
    http::error::{ApiError, Error},
};

/// What pages may load: our one stylesheet.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                           frame-ancestors 'none'; base-uri 'none'";

/// The templates, by name.
const TEMPLATES: [(&str, &str); 8] = [
    ("layout", include_str!("../../console/layout.hbs")),
    ("builds", include_str!("../../console/builds.hbs")),
    ("home", include_str!("../../console/home.hbs")),
    ("project", include_str!("../../console/project.hbs")),
    ("build", include_str!("../../console/build.hbs")),
    ("token", include_str!("../../console/token.hbs")),
    ("error", include_str!("../../console/error.hbs")),
    ("index", include_str!("../../console/index.hbs")),
];

/// The compiled templates.
pub(crate) struct Pages(Handlebars<'static>);

impl Pages {
    pub(crate) fn new() -> Result<Self, Error> {
        let mut templates = Handlebars::new();
        templates.set_strict_mode(true);
        for (name, text) in TEMPLATES {
            templates
                .register_template_string(name, text)
                .map_err(|error| Error::Template {
                    name,
                    source: Box::new(error),
                })?;
        }
        Ok(Self(templates))
    }

    /// Renders a page.
    pub(crate) fn show(&self, name: &str, data: &Value) -> Result<Response, ApiError> {
        self.rendered(name, data, PAGE_POLICY)
    }

    /// Renders a page that may load nothing at all.
    pub(super) fn show_inert(&self, name: &str, data: &Value) -> Result<Response, ApiError> {
        self.rendered(name, data, INERT)
    }

    fn rendered(&self, name: &str, data: &Value, policy: &'static str) -> Result<Response, ApiError> {
        let text = self
            .0
            .render(name, data)
            .map_err(|error| ApiError::Internal(format!("cannot render the page {name}: {error}")))?;
        let mut response = Response::builder()
            .content_type("text/html; charset=utf-8")
            .body(text);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok(response)
    }

    /// A failure as a page, for people with a browser; none when not even that works.
    pub(crate) fn error(&self, error: &ApiError) -> Option<Response> {
        let status = error.status_code();
        let data = json!({
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "text": error.public_text(),
        });
        let page = self.show("error", &data);
        page.ok().map(|mut page| {
            page.set_status(status);
            page
        })
    }
}
