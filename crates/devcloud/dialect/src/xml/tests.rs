use quick_xml::events::Event;

use super::Xml;
use crate::{Api, ApiError};

#[test]
fn texts_are_escaped_and_forbidden_characters_replaced() {
    let mut xml = Xml::default();
    xml.list("tagSet", [("a<b", "\"&\u{1}")], |xml, (key, value)| {
        xml.put("key", key);
        xml.put("value", value);
    });
    let text = xml.response(Api::Ec2, "2016-11-15", "DescribeTags", "r-1");
    assert!(
        text.contains("<key>a&lt;b</key><value>&quot;&amp;\u{fffd}</value></item></tagSet>"),
        "{text}"
    );
}

#[test]
fn every_service_frames_answers_and_errors_in_its_own_way() {
    let mut xml = Xml::default();
    xml.put("Account", 1);
    let text = xml.response(Api::Sts, "2011-06-15", "GetCallerIdentity", "r-1");
    assert!(
        text.ends_with(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Account>1</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>r-1</RequestId>\
             </ResponseMetadata></GetCallerIdentityResponse>"
        ),
        "{text}"
    );
    let error = ApiError::new("Code", "a < b");
    let text = Xml::error(Api::Ec2, &error, "r-1");
    assert!(
        text.ends_with(
            "<Response><Errors><Error><Code>Code</Code><Message>a &lt; b</Message></Error></Errors>\
             <RequestID>r-1</RequestID></Response>"
        ),
        "{text}"
    );
    let text = Xml::error(Api::Iam, &error, "r-1");
    assert!(
        text.contains("<ErrorResponse><Error><Type>Sender</Type><Code>Code</Code>"),
        "{text}"
    );
    let text = Xml::with_root("urn:x", "Root").response(Api::Ec2, "2016-11-15", "A", "r-1");
    assert!(
        text.contains("<Root xmlns=\"urn:x\"><requestId>r-1</requestId></Root>"),
        "{text}"
    );
}

/// The elements of an answer, as a parser of somebody else's reads them.
fn elements(text: &str) -> Vec<String> {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut found = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => found.push(format!("<{}", start.name().as_ref())),
            Event::End(end) => found.push(format!(">{}", end.name().as_ref())),
            Event::Eof => return found,
            _ => {}
        }
    }
}

#[test]
fn an_answer_is_well_formed_whatever_a_text_holds() {
    for text in [
        "plain",
        "<a>",
        "</tagSet>",
        "]]>",
        "<!--",
        "&amp;",
        "\"'",
        "\u{0}\u{8}\u{b}\u{1f}\u{ffff}",
        "ü\u{1f680}\t\n",
    ] {
        let mut xml = Xml::default();
        xml.list("tagSet", [text], |xml, text| xml.put("value", text));
        let answer = xml.response(Api::Ec2, "2016-11-15", "DescribeTags", "r-1");
        assert_eq!(
            elements(&answer),
            [
                "<DescribeTagsResponse",
                "<requestId",
                ">requestId",
                "<tagSet",
                "<item",
                "<value",
                ">value",
                ">item",
                ">tagSet",
                ">DescribeTagsResponse"
            ],
            "{text:?}"
        );
    }
}

#[test]
fn lists_have_an_item_for_each_and_are_there_when_they_are_empty() {
    let mut xml = Xml::default();
    xml.list("reservationSet", [0; 0], |_, _| ());
    xml.list("groupSet", ["a", "b"], |xml, name| xml.text(name));
    xml.put_some("nextToken", Some("t"));
    xml.put_some("reason", None::<&str>);
    xml.element("state", |xml| {
        xml.put("code", 16);
        xml.put("name", "running");
    });
    let answer = xml.response(Api::Ec2, "2016-11-15", "DescribeInstances", "r-1");
    assert!(
        answer.ends_with(
            "<requestId>r-1</requestId><reservationSet></reservationSet><groupSet><item>a</item><item>b</item></groupSet>\
             <nextToken>t</nextToken><state><code>16</code><name>running</name></state></DescribeInstancesResponse>"
        ),
        "{answer}"
    );
}

#[test]
fn errors_say_whose_they_are_where_the_service_says_it() {
    let callers = ApiError::missing("UserName");
    for (error, fault) in [(&callers, "Sender"), (&ApiError::internal(), "Receiver")] {
        for api in [Api::Sts, Api::Iam] {
            let text = Xml::error(api, error, "r-1");
            assert!(
                text.contains(&format!("<Error><Type>{fault}</Type><Code>")),
                "{text}"
            );
            assert!(
                text.ends_with("</Error><RequestId>r-1</RequestId></ErrorResponse>"),
                "{text}"
            );
        }
        assert!(!Xml::error(Api::Ec2, error, "r-1").contains("<Type>"));
    }
}
