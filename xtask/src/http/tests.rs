use std::net::TcpListener;

use super::*;

/// Answers in turn to the requests of one connection; the address, and what was asked.
pub(crate) fn serve(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut stream = BufReader::new(stream);
        let mut asked = Vec::new();
        for answer in answers {
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                assert!(stream.read_line(&mut request).expect("a request") > 0);
            }
            asked.push(request);
            stream.get_mut().write_all(answer.as_bytes()).expect("an answer");
        }
        asked
    });
    (address, server)
}

/// What the client makes of answers, each to a request of one connection.
fn asked(answers: &[&str]) -> Vec<Result<String, String>> {
    let (address, server) = serve(answers.iter().map(|answer| (*answer).to_owned()).collect());
    let mut client = Client::connect(&address).expect("a connection");
    let got = answers.iter().map(|_| {
        let body = client.get("/x", "").map_err(|error| format!("{error:#}"))?;
        String::from_utf8(body).map_err(|error| error.to_string())
    });
    let got = got.collect();
    server.join().expect("the server");
    got
}

#[test]
fn bodies_with_a_length_and_in_chunks_are_read_to_their_end() {
    let got = asked(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nfirst",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nsec\r\nA\r\nond answer\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:2\r\n\r\n\r\n",
    ]);
    let good = |text: &str| Ok(text.to_owned());
    assert_eq!(
        got,
        [good("first"), good("second answer"), good(""), good("\r\n")]
    );
}

#[test]
fn an_answer_that_is_not_good_or_not_whole_is_told() {
    for (answer, told) in [
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone",
            ": 404: gone",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", "GET /x"),
        ("HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n", "invalid digit"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            "invalid digit",
        ),
        ("HTTP/1.1 200 OK\r\n", "closed"),
        ("HTTP/1.1 200 OK\r\n\r\n", "without a length"),
        (
            "SSH-2.0-OpenSSH_9.2\r\n",
            "no HTTP status: \"SSH-2.0-OpenSSH_9.2\"",
        ),
    ] {
        let got = asked(&[answer]);
        assert!(matches!(&*got, [Err(error)] if error.contains(told)), "{got:?}");
    }
}

#[test]
fn any_answer_is_returned_with_its_status_to_who_wants_that() {
    let answer = |status: u16| format!("HTTP/1.1 {status} X\r\ncontent-length: 3\r\n\r\n{status}");
    let statuses = [206, 404, 416, 200];
    let (address, server) = serve(statuses.map(answer).to_vec());
    let mut client = Client::connect(&address).expect("a connection");
    for status in statuses {
        let (got, body) = client.ask("/a?b=c", "Range: bytes=7-\r\n").expect("an answer");
        assert_eq!((got, body), (status, status.to_string().into_bytes()));
    }
    let expected = format!("GET /a?b=c HTTP/1.1\r\nHost: {address}\r\nRange: bytes=7-\r\n\r\n");
    assert_eq!(server.join().expect("the server"), vec![expected; 4]);
}

#[test]
fn where_nobody_listens_the_address_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let error = Client::connect(&address).err().expect("nobody");
    assert_eq!(error.to_string(), format!("connecting to {address}"));
}
