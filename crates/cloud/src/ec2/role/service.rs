//! The metadata service over HTTP.

use std::{future::poll_fn, pin::Pin, time::Duration};

use async_trait::async_trait;
use http::{Request, Uri};
use hyper::body::{Body as _, Incoming};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::{Answer, Metadata, Question, RoleError};

/// How long one question may take. The service is on the machine's own host.
const LIMIT: Duration = Duration::from_secs(2);
/// No answer of a metadata service is longer.
const LONGEST_ANSWER: usize = 64 * 1024;
/// What an answer that does not come means in a container: it is sent with as many hops to go as the machine's options say.
const IN_A_CONTAINER: &str =
    ". In a container, the machine's metadata options need a hop limit (`HttpPutResponseHopLimit`) of 2";

/// A metadata service.
pub(super) struct Service {
    endpoint: String,
    client: Client<HttpConnector, String>,
}

impl Service {
    /// The one at an address of HTTP; `None` where that is no such address.
    pub(super) fn at(endpoint: &str) -> Option<Self> {
        let endpoint = endpoint.trim_end_matches('/');
        let uri: Uri = endpoint.parse().ok()?;
        let is_plain = uri.scheme_str() == Some("http") && uri.host().is_some() && uri.path() == "/";
        // No connection is kept: the next questions come in hours.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build_http();
        is_plain.then(|| Self {
            endpoint: endpoint.to_owned(),
            client,
        })
    }

    async fn answer(&self, question: Question) -> Result<Answer, RoleError> {
        let (name, value) = question.header;
        let request = Request::builder()
            .method(question.method)
            .uri(format!("{}{}", self.endpoint, question.path))
            .header(name, value)
            .body(String::new())
            .map_err(|_| odd("a word that cannot be sent back"))?;
        let sent = self.client.request(request).await;
        let response = sent.map_err(|error| silent(why(&error)))?;
        let status = response.status().as_u16();
        let body = read(response.into_body()).await?;
        Ok(Answer { status, body })
    }
}

#[async_trait]
impl Metadata for Service {
    async fn ask(&self, question: Question) -> Result<Answer, RoleError> {
        match tokio::time::timeout(LIMIT, self.answer(question)).await {
            Ok(answer) => answer,
            Err(_) => Err(RoleError::Silent {
                why: format!("not within {} s", LIMIT.as_secs()),
                more: IN_A_CONTAINER,
            }),
        }
    }
}

fn odd(what: &str) -> RoleError {
    RoleError::Odd {
        what: what.to_owned(),
    }
}

fn silent(why: &str) -> RoleError {
    RoleError::Silent {
        why: why.to_owned(),
        more: "",
    }
}

/// What is in the way, in words of our own.
fn why(error: &Error) -> &'static str {
    if error.is_connect() {
        "no connection can be made"
    } else {
        "the connection ended before an answer came"
    }
}

/// All of an answer.
async fn read(mut body: Incoming) -> Result<String, RoleError> {
    let mut whole = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| silent("the connection ended in the middle of an answer"))?;
        whole.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        if whole.len() > LONGEST_ANSWER {
            return Err(odd("an answer without end"));
        }
    }
    String::from_utf8(whole).map_err(|_| odd("an answer that is no UTF-8"))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;

    fn question() -> Question {
        Question {
            method: "GET",
            path: "/latest".to_owned(),
            header: ("x-token", "a".to_owned()),
        }
    }

    /// What comes of one answer, bytes as they are; also what was asked.
    async fn answered(bytes: Vec<u8>) -> (Result<Answer, RoleError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 4096];
            let count = stream.read(&mut asked).unwrap();
            stream.write_all(&bytes).ok(); // It may be hung up on.
            String::from_utf8_lossy(&asked[..count]).into_owned()
        });
        let said = Service::at(&endpoint).unwrap().ask(question()).await;
        (said, server.join().unwrap())
    }

    #[tokio::test]
    async fn an_answer_is_read_as_a_whole_and_what_is_none_is_told() {
        let told = |status: u16, body: &str| {
            Ok(Answer {
                status,
                body: body.to_owned(),
            })
        };
        let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(LONGEST_ANSWER + 1));
        for (bytes, expected) in [
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc".to_vec(),
                told(200, "abc"),
            ),
            (
                b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n".to_vec(),
                told(404, ""),
            ),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
                    .to_vec(),
                told(200, "abc"),
            ),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".to_vec(),
                Err(silent("the connection ended in the middle of an answer")),
            ),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n\xff".to_vec(),
                Err(odd("an answer that is no UTF-8")),
            ),
            (endless.into_bytes(), Err(odd("an answer without end"))),
            (
                Vec::new(),
                Err(silent("the connection ended before an answer came")),
            ),
        ] {
            let (said, asked) = answered(bytes).await;
            assert_eq!(said, expected);
            let asked = asked.to_ascii_lowercase();
            assert!(
                asked.starts_with("get /latest http/1.1\r\n") && asked.contains("\r\nx-token: a\r\n"),
                "{asked}"
            );
        }
    }

    #[tokio::test]
    async fn where_nobody_answers_there_is_no_waiting_for_long() {
        // Somebody listens there, and nobody answers.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let service = Service::at(&format!("http://{address}")).unwrap();
        let said = service.ask(question()).await.unwrap_err().to_string();
        assert!(
            said.contains("(not within 2 s)") && said.contains("HttpPutResponseHopLimit"),
            "{said}"
        );
        drop(listener);
        let said = service.ask(question()).await.unwrap_err();
        assert_eq!(said, silent("no connection can be made"));
        assert!(!said.to_string().contains("HttpPut"), "{said}");
    }

    #[test]
    fn an_address_of_http_is_taken_and_nothing_else() {
        for (endpoint, expected) in [
            ("http://169.254.169.254", true),
            ("http://169.254.169.254/", true),
            ("http://[fd00:ec2::254]", true),
            ("http://127.0.0.1:8080", true),
            ("https://127.0.0.1", false),
            ("127.0.0.1", false),
            ("http://", false),
            ("http://127.0.0.1/latest", false),
            ("", false),
        ] {
            assert_eq!(Service::at(endpoint).is_some(), expected, "{endpoint}");
        }
    }
}
