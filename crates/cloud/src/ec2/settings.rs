//! How an EC2 endpoint is reached, and with whose key.

use aws_credential_types::Credentials;

/// How an EC2 endpoint is reached.
#[derive(Clone)]
pub struct Ec2Settings {
    /// The region, such as `eu-central-1`; it is part of every signature.
    pub region: String,
    /// The endpoint, where it is not Amazon's of the region.
    pub endpoint: Option<String>,
    /// The access key's id.
    pub access_key: String,
    /// The access key's secret.
    pub secret_key: String,
    /// What belongs to a key that is good for some hours only; it is sent with every question. `None` for a key that lasts.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for Ec2Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ec2Settings")
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

impl Ec2Settings {
    /// What questions are signed with. When a session ends is not known here: the cloud says so.
    pub(super) fn credentials(&self) -> Credentials {
        Credentials::new(
            &self.access_key,
            &self.secret_key,
            self.session_token.clone(),
            None,
            "verdigris-fleet",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Ec2,
            tests::{endpoint, error_body, read_whole},
        },
        *,
    };
    use crate::Cloud as _;

    fn settings(endpoint: String, token: Option<&str>) -> Ec2Settings {
        Ec2Settings {
            region: "dev-1".to_owned(),
            endpoint: Some(endpoint),
            access_key: "ASIAEXAMPLE".to_owned(),
            secret_key: "secret".to_owned(),
            session_token: token.map(str::to_owned),
        }
    }

    /// What is asked with a key that has a token, or none, in small letters.
    async fn asked(token: Option<&str>) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            read_whole(&mut stream)
        });
        let cloud = Ec2::new(&settings(format!("http://{address}"), token));
        // It is hung up on, and that is all the same here.
        cloud.terminate("i-1").await.unwrap_err();
        server.join().unwrap().to_lowercase()
    }

    #[tokio::test]
    async fn the_token_of_a_session_is_sent_and_signed_and_none_with_a_key_that_lasts() {
        let with = asked(Some("FQoGZXIvYXdzEXAMPLE/+=")).await;
        assert!(
            with.contains("x-amz-security-token: fqogzxivyxdzexample/+=\r\n"),
            "{with}"
        );
        let signed = with.split_once("signedheaders=").unwrap().1;
        let signed = signed.split_once(',').unwrap().0;
        assert!(
            signed.split(';').any(|header| header == "x-amz-security-token"),
            "{signed}"
        );
        let without = asked(None).await;
        assert!(!without.contains("x-amz-security-token"), "{without}");
    }

    #[tokio::test]
    async fn a_wrong_key_and_one_whose_session_is_over_are_for_a_person_to_mend() {
        for code in ["AuthFailure", "RequestExpired"] {
            let (cloud, server) = endpoint("400 No", &error_body(code));
            let error = cloud.terminate("i-1").await.unwrap_err();
            assert_eq!(error.to_string(), format!("the cloud refuses: {code}: no"));
            server.join().unwrap();
        }
    }

    #[test]
    fn what_is_printed_of_them_holds_no_secret() {
        let settings = settings("http://127.0.0.1:1".to_owned(), Some("the-token"));
        let printed = format!("{settings:?} {:?}", settings.credentials());
        assert!(printed.contains("ASIAEXAMPLE"), "{printed}");
        for secret in ["the-token", "\"secret\""] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
