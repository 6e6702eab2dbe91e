//! A small writer of EC2's XML: elements are closed by construction and every text is escaped.

use std::fmt::Display;

use crate::{Api, ApiError};

/// XML that is being written.
#[derive(Clone, Debug, Default)]
pub struct Xml {
    text: String,
    /// The namespace and the name of the answer, where they are not the service's.
    own_root: Option<(&'static str, &'static str)>,
}

impl Xml {
    /// An empty answer whose outermost element is not the action's usual one: its namespace, and its name.
    #[must_use]
    pub fn with_root(namespace: &'static str, name: &'static str) -> Self {
        Self {
            text: String::new(),
            own_root: Some((namespace, name)),
        }
    }

    /// A whole answer, with the request's id, in the form of the service.
    #[must_use]
    pub fn response(self, api: Api, version: &str, action: &str, request_id: &str) -> String {
        let body = self.text;
        let (namespace, root) = match self.own_root {
            Some((namespace, name)) => (namespace.to_owned(), name.to_owned()),
            None => (api.namespace(version), format!("{action}Response")),
        };
        let inner = match api {
            Api::Ec2 => format!("<requestId>{request_id}</requestId>{body}"),
            Api::Sts | Api::Iam => format!(
                "<{action}Result>{body}</{action}Result><ResponseMetadata><RequestId>{request_id}</RequestId>\
                 </ResponseMetadata>"
            ),
        };
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{namespace}\">{inner}</{root}>")
    }

    /// A whole error answer, in the form of the service.
    #[must_use]
    pub fn error(api: Api, error: &ApiError, request_id: &str) -> String {
        let mut xml = Self::default();
        let details = |xml: &mut Self| {
            xml.element("Error", |xml| {
                if api != Api::Ec2 {
                    let ours = error.status.is_server_error();
                    xml.put("Type", if ours { "Receiver" } else { "Sender" });
                }
                xml.put("Code", &error.code);
                xml.put("Message", &error.message);
            });
        };
        if api == Api::Ec2 {
            xml.element("Response", |xml| {
                xml.element("Errors", details);
                xml.put("RequestID", request_id);
            });
        } else {
            xml.element("ErrorResponse", |xml| {
                details(xml);
                xml.put("RequestId", request_id);
            });
        }
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", xml.text)
    }

    /// An element with a text.
    pub fn put(&mut self, name: &'static str, value: impl Display) {
        self.open(name);
        self.text(value);
        self.close(name);
    }

    /// A text alone, for elements that hold nothing else.
    pub fn text(&mut self, value: impl Display) {
        let value = value.to_string();
        let clean: String = value
            .chars()
            .map(|c| if is_xml(c) { c } else { '\u{fffd}' })
            .collect();
        self.text.push_str(&quick_xml::escape::escape(clean.as_str()));
    }

    /// An element with a text, if there is one.
    pub fn put_some(&mut self, name: &'static str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// An element with elements.
    pub fn element(&mut self, name: &'static str, body: impl FnOnce(&mut Self)) {
        self.open(name);
        body(self);
        self.close(name);
    }

    /// A list: an element with an `item` for each.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        mut body: impl FnMut(&mut Self, T),
    ) {
        self.element(name, |xml| {
            for item in items {
                xml.element("item", |xml| body(xml, item));
            }
        });
    }

    fn open(&mut self, name: &str) {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
    }

    fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }
}

/// Whether XML 1.0 can hold the character at all (its production `Char`).
fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests;
