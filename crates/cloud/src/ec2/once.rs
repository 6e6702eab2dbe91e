//! Calls that change something are made once.

use aws_sdk_ec2::{
    Config,
    config::{Builder, retry::RetryConfig},
};

/// The configuration of a call that changes something. The SDK would try again what a cloud refuses because it has no room or wants fewer
/// calls, at a time when all other clients do so too: it is for the caller, who knows how many calls there may be, to ask again.
pub(super) fn asked_once() -> Builder {
    Config::builder().retry_config(RetryConfig::disabled())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        io::Write as _,
        net::TcpListener,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
    };

    use model::{BuilderId, FleetId};
    use uuid::Uuid;

    use super::super::{
        Ec2,
        tests::{at, error_body, read_whole},
    };
    use crate::{Cloud as _, Owner};

    /// An endpoint that refuses each question because there are too many, and counts them.
    fn throttling() -> (Ec2, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (count, body) = (Arc::new(AtomicU32::new(0)), error_body("RequestLimitExceeded"));
        let counted = Arc::clone(&count);
        let head = format!(
            "HTTP/1.1 503 Oh\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                read_whole(&mut stream);
                counted.fetch_add(1, Ordering::SeqCst);
                stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
            }
        });
        (at(&format!("http://{address}")), count)
    }

    #[tokio::test]
    async fn what_changes_something_is_asked_once_and_what_only_looks_up_to_three_times() {
        let (cloud, count) = throttling();
        let owner = Owner {
            fleet: FleetId(Uuid::from_u128(3)),
            builder: BuilderId(Uuid::from_u128(2)),
            pool: "x86".parse().unwrap(),
        };
        let tags = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let asked = || count.swap(0, Ordering::SeqCst);
        assert!(cloud.terminate("i-1").await.is_err());
        assert_eq!(asked(), 1, "an end");
        assert!(cloud.tag("i-1", &owner).await.is_err());
        assert_eq!(asked(), 1, "tags of an instance");
        assert!(cloud.tag_image("ami-1", &tags).await.is_err());
        assert_eq!(asked(), 1, "tags of an image");
        assert!(cloud.delete_image("ami-1").await.is_err());
        assert_eq!(asked(), 1, "the end of an image");
        assert!(cloud.list_all().await.is_err());
        assert_eq!(asked(), 3, "a list");
    }
}
