//! A small writer of EC2's XML: elements are closed by construction and every text is escaped.

use std::fmt::Display;

/// The namespace of answers; the version that clients of today ask for.
const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

/// XML that is being written.
#[derive(Default)]
pub(crate) struct Xml {
    text: String,
}

impl Xml {
    /// A whole answer: `<{action}Response>` with the request's id and what `body` writes.
    pub(crate) fn response(action: &str, request_id: &str, body: &Self) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response xmlns=\"{NAMESPACE}\">\
             <requestId>{request_id}</requestId>{}</{action}Response>",
            body.text
        )
    }

    /// A whole error answer.
    pub(crate) fn error(code: &str, message: &str, request_id: &str) -> String {
        let mut xml = Self::default();
        xml.element("Response", |xml| {
            xml.element("Errors", |xml| {
                xml.element("Error", |xml| {
                    xml.put("Code", code);
                    xml.put("Message", message);
                });
            });
            xml.put("RequestID", request_id);
        });
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", xml.text)
    }

    /// An element with a text.
    pub(crate) fn put(&mut self, name: &'static str, value: impl Display) {
        self.open(name);
        self.text(value);
        self.close(name);
    }

    /// A text alone, for elements that hold nothing else.
    pub(crate) fn text(&mut self, value: impl Display) {
        let value = value.to_string();
        let clean: String = value
            .chars()
            .map(|c| if is_xml(c) { c } else { '\u{fffd}' })
            .collect();
        self.text.push_str(&quick_xml::escape::escape(clean.as_str()));
    }

    /// An element with a text, if there is one.
    pub(crate) fn put_some(&mut self, name: &'static str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// An element with elements.
    pub(crate) fn element(&mut self, name: &'static str, body: impl FnOnce(&mut Self)) {
        self.open(name);
        body(self);
        self.close(name);
    }

    /// A list: an element with an `item` for each.
    pub(crate) fn list<T>(
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
mod tests {
    use super::Xml;

    #[test]
    fn texts_are_escaped_and_forbidden_characters_replaced() {
        let mut xml = Xml::default();
        xml.list("tagSet", [("a<b", "\"&\u{1}")], |xml, (key, value)| {
            xml.put("key", key);
            xml.put("value", value);
        });
        let text = Xml::response("DescribeTags", "r-1", &xml);
        assert!(
            text.contains("<key>a&lt;b</key><value>&quot;&amp;\u{fffd}</value></item></tagSet>"),
            "{text}"
        );
    }
}
