use std::{
    collections::VecDeque,
    io::Write as _,
    net::TcpListener,
    sync::{
        Mutex as StdMutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use super::{
    super::{
        Ec2,
        tests::{error_body, read_whole},
    },
    *,
};
use crate::{Cloud as _, Error};

/// A service that gives answers in turn.
#[derive(Default)]
struct Scripted {
    answers: StdMutex<VecDeque<Result<Answer, RoleError>>>,
    asked: StdMutex<Vec<Question>>,
}

#[async_trait]
impl Metadata for Scripted {
    async fn ask(&self, question: Question) -> Result<Answer, RoleError> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(question);
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.pop_front().unwrap()
    }
}

impl Scripted {
    fn of(answers: Vec<Result<Answer, RoleError>>) -> Self {
        Self {
            answers: StdMutex::new(answers.into()),
            ..Self::default()
        }
    }

    fn add(&self, answers: impl IntoIterator<Item = Result<Answer, RoleError>>) {
        self.answers.lock().unwrap().extend(answers);
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn ok(status: u16, body: &str) -> Result<Answer, RoleError> {
    Ok(Answer {
        status,
        body: body.to_owned(),
    })
}

fn key(id: &str, until: &str) -> String {
    serde_json::json!({
        "Code": "Success", "LastUpdated": "2026-11-30T00:00:00Z", "Type": "AWS-HMAC", "AccessKeyId": id,
        "SecretAccessKey": "the-secret", "Token": "the-token", "Expiration": until,
    })
    .to_string()
}

fn whole(id: &str, until: &str) -> [Result<Answer, RoleError>; 3] {
    [
        ok(200, "TOKEN=="),
        ok(200, "farm-controller"),
        ok(200, &key(id, until)),
    ]
}

fn silent() -> RoleError {
    RoleError::Silent {
        why: "no connection can be made".to_owned(),
        more: "",
    }
}

#[tokio::test]
async fn a_key_is_asked_for_with_a_token_by_the_role_s_name() {
    let service = Scripted::of(whole("ASIA1", "2026-11-30T06:00:00Z").into());
    let (found, until) = fetch(&service).await.unwrap();
    assert_eq!(
        (
            found.access_key_id(),
            found.secret_access_key(),
            found.session_token()
        ),
        ("ASIA1", "the-secret", Some("the-token"))
    );
    let since = until.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(since.as_secs(), 1_796_018_400);
    let token = ("x-aws-ec2-metadata-token", "TOKEN==".to_owned());
    let question = |method, path: &str, header| Question {
        method,
        path: path.to_owned(),
        header,
    };
    let ttl = ("x-aws-ec2-metadata-token-ttl-seconds", "60".to_owned());
    let roles = "/latest/meta-data/iam/security-credentials/";
    assert_eq!(
        *service.asked.lock().unwrap(),
        [
            question("PUT", "/latest/api/token", ttl),
            question("GET", roles, token.clone()),
            question("GET", &format!("{roles}farm-controller"), token),
        ]
    );
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let odd = |what: &str| RoleError::Odd {
        what: what.to_owned(),
    };
    let of_key = |body: &str| vec![ok(200, "t"), ok(200, "role"), ok(200, body)];
    let without = |name: &str| {
        let mut value: Value = serde_json::from_str(&key("a", "2026-11-30T06:00:00Z")).unwrap();
        value.as_object_mut().unwrap().remove(name);
        of_key(&value.to_string())
    };
    for (answers, expected) in [
        (vec![Err(silent())], silent()),
        (vec![ok(403, "")], RoleError::NoToken { status: 403 }),
        (vec![ok(200, "")], odd("a token that is no word")),
        (vec![ok(200, "two words")], odd("a token that is no word")),
        (vec![ok(200, "t"), ok(404, "")], RoleError::NoRole),
        (vec![ok(200, "t"), ok(200, "\n")], RoleError::NoRole),
        (
            vec![ok(200, "t"), ok(200, "a/../b")],
            odd("a name that no role has"),
        ),
        (
            vec![ok(200, "t"), ok(500, "")],
            odd("HTTP status 500 where the role's name is asked for"),
        ),
        (
            vec![ok(200, "t"), ok(200, "role"), ok(404, "")],
            RoleError::NoRole,
        ),
        (
            vec![ok(200, "t"), ok(200, "role"), ok(503, "")],
            odd("HTTP status 503 where the role's key is asked for"),
        ),
        (of_key("<html>"), odd("a key that is no JSON")),
        (without("AccessKeyId"), odd("a key without `AccessKeyId`")),
        (without("SecretAccessKey"), odd("a key without `SecretAccessKey`")),
        (without("Token"), odd("a key without `Token`")),
        (without("Expiration"), odd("a key without `Expiration`")),
        (
            of_key(&key("a", "soon")),
            odd("a key whose `Expiration` is no moment"),
        ),
        (
            of_key(r#"{"Code": "AssumeRoleUnauthorizedAccess", "Message": "not trusted"}"#),
            RoleError::Refused {
                code: "AssumeRoleUnauthorizedAccess".to_owned(),
                message: "not trusted".to_owned(),
            },
        ),
    ] {
        let service = Scripted::of(answers);
        assert_eq!(fetch(&service).await.unwrap_err(), expected);
    }
}

#[test]
fn a_key_is_used_until_five_minutes_before_its_end_and_has_to_do_while_there_is_no_other() {
    let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let held = |asked: u64| Held {
        key: Credentials::new("a", "b", None, None, "test"),
        until: at(10_000),
        asked_at: at(asked),
    };
    for (asked, now, expected) in [
        (1_000, 1_001, Turn::Use),
        (1_000, 9_699, Turn::Use),
        (1_000, 9_700, Turn::Renew),
        (9_700, 9_719, Turn::Use),
        (9_700, 9_720, Turn::Renew),
        (9_999, 9_999, Turn::Use),
        (9_999, 10_000, Turn::Ask),
        (1_000, 20_000, Turn::Ask),
        // The clock was set back.
        (9_900, 9_800, Turn::Renew),
    ] {
        assert_eq!(held(asked).turn(at(now)), expected, "asked at {asked}, now {now}");
    }
}

/// The clock of the next test, in seconds since 1970.
static NOW: AtomicU64 = AtomicU64::new(0);
const NOON: u64 = 1_796_040_000;

#[tokio::test]
async fn a_key_is_renewed_before_its_end_and_kept_while_the_service_is_away() {
    let service = Arc::new(Scripted::default());
    let now = || SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.load(Ordering::SeqCst));
    let role = InstanceRole::of(Arc::clone(&service) as Arc<dyn Metadata>, now);
    NOW.store(NOON, Ordering::SeqCst);
    service.add([Err(silent())]);
    assert_eq!(role.key().await.unwrap_err(), silent());
    service.add(whole("FIRST", "2026-11-30T13:00:00Z"));
    let mut asked = 1;
    // (seconds after noon, answers that are there by then, questions, the key)
    for (after, answers, questions, expected) in [
        (0, vec![], 3, Ok("FIRST")),
        (3_000, vec![], 0, Ok("FIRST")),
        (3_300, vec![Err(silent())], 1, Ok("FIRST")),
        (3_319, vec![], 0, Ok("FIRST")),
        (3_320, vec![ok(503, "")], 1, Ok("FIRST")),
        (3_600, vec![Err(silent())], 1, Err(silent())),
        (
            3_601,
            whole("SECOND", "2026-11-30T19:00:00Z").into(),
            3,
            Ok("SECOND"),
        ),
    ] {
        NOW.store(NOON + after, Ordering::SeqCst);
        service.add(answers);
        let found = role.key().await;
        let found = found.as_ref().map(Credentials::access_key_id);
        assert_eq!(found, expected.as_ref().copied(), "{after}");
        asked += questions;
        assert_eq!(service.count(), asked, "{after}");
    }
    assert!(!format!("{role:?}").contains("SECOND"));
}

/// A server that answers each connection as its first line says; what was asked, in small letters.
fn serve(answers: fn(&str) -> (u16, String)) -> (String, Arc<StdMutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<StdMutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&asked);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let said = read_whole(&mut stream).to_lowercase();
            let (status, body) = answers(said.lines().next().unwrap_or_default());
            heard.lock().unwrap().push(said);
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            stream.write_all(format!("{head}{body}").as_bytes()).ok(); // It may be hung up on.
        }
    });
    (address, asked)
}

fn metadata(first: &str) -> (u16, String) {
    match first {
        "put /latest/api/token http/1.1" => (200, "TOKEN==".to_owned()),
        "get /latest/meta-data/iam/security-credentials/ http/1.1" => (200, "farm".to_owned()),
        "get /latest/meta-data/iam/security-credentials/farm http/1.1" => {
            (200, key("ASIAROLE", "2999-01-01T00:00:00Z"))
        }
        _ => (404, String::new()),
    }
}

#[tokio::test]
async fn a_cloud_is_asked_with_the_key_of_the_role_which_is_fetched_once() {
    let (service, questions) = serve(metadata);
    let (endpoint, asked) = serve(|_| (400, error_body("UnauthorizedOperation")));
    let role = InstanceRole::at(&service).unwrap();
    let cloud = Ec2::of_role("eu-central-1", Some(&endpoint), role);
    for _ in 0..2 {
        let error = cloud.terminate("i-1").await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
    }
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 2);
    for question in asked.iter() {
        assert!(question.contains("credential=asiarole/"), "{question}");
        assert!(question.contains("x-amz-security-token: the-token"), "{question}");
    }
    let questions = questions.lock().unwrap();
    assert_eq!(questions.len(), 3, "{questions:?}");
    assert!(
        questions[1].contains("x-aws-ec2-metadata-token: token=="),
        "{}",
        questions[1]
    );
}

#[tokio::test]
async fn without_a_key_a_cloud_is_not_asked_and_the_words_say_why() {
    let (service, _) = serve(|first| match first {
        "put /latest/api/token http/1.1" => (200, "TOKEN==".to_owned()),
        _ => (404, String::new()),
    });
    let (endpoint, asked) = serve(|_| (400, error_body("UnauthorizedOperation")));
    let cloud = Ec2::of_role("r", Some(&endpoint), InstanceRole::at(&service).unwrap());
    let words = "the cloud cannot be reached: there is no key to ask it with: the machine that this runs on has no role: it \
                 needs an instance profile with one";
    assert_eq!(cloud.terminate("i-1").await.unwrap_err().to_string(), words);
    assert_eq!(
        cloud.describe(&["i-1".to_owned()]).await.unwrap_err().in_public(),
        words
    );
    assert_eq!(*asked.lock().unwrap(), Vec::<String>::new());
}
