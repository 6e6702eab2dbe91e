//! Answers to probes of processes that serve nothing else, the controller and the worker, at the addresses where the api
//! answers them: `/health/live` (the process turns) and `/health` (whether it reaches its database, and what is wrong with the
//! fleet).

use std::time::Duration;

use model::{Condition, Timestamp};
use poem::{
    Endpoint, IntoResponse as _, Request, Response, Server,
    http::{Method, StatusCode, header},
    listener::TcpAcceptor,
};
use runtime::CancellationToken;
use serde_json::{Value, json};
use store::Store;
use tokio::net::TcpListener;

use crate::http::error::Error;

/// What is said of a database that is not well; its own words are for the log.
pub(crate) const UNFIT: &str = "The database cannot be reached, or its schema does not fit.";

/// How long the database may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// A probe that says nothing is closed, so that none of them takes a descriptor for long.
const IDLE: Duration = Duration::from_secs(15);

struct Probes {
    store: Store,
}

impl Endpoint for Probes {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let refusal = json!({"error": "Only GET and HEAD are allowed here."});
            let refused = answer(StatusCode::METHOD_NOT_ALLOWED, &refusal);
            return Ok(refused.with_header(header::ALLOW, "GET, HEAD").into_response());
        }
        Ok(match request.uri().path() {
            "/health/live" => live(),
            "/health" => self.ready().await,
            _ => answer(
                StatusCode::NOT_FOUND,
                &json!({"error": "There are /health and /health/live."}),
            ),
        })
    }
}

impl Probes {
    async fn ready(&self) -> Response {
        let why = match tokio::time::timeout(PATIENCE, self.store.check()).await {
            Ok(Ok(())) => {
                let now = runtime::clock::now();
                let fleet = fleet_troubles(self.store.fleet_condition(None, now), now).await;
                let status = if fleet.is_empty() { "ok" } else { "degraded" };
                let body = json!({"status": status, "database": "ok", "fleet": fleet});
                return answer(StatusCode::OK, &body);
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "The database is not well.");
                UNFIT
            }
            Err(_) => "The database does not answer in time.",
        };
        let body = json!({"status": "failing", "database": why, "error": why});
        answer(StatusCode::SERVICE_UNAVAILABLE, &body)
    }
}

/// What is wrong with the fleet, as every process says it. It makes none unready: no other could mend it either. What the
/// database does not say is no good news.
pub(crate) async fn fleet_troubles(
    condition: impl Future<Output = store::Result<Condition>>,
    now: Timestamp,
) -> Vec<String> {
    match tokio::time::timeout(PATIENCE, condition).await {
        Ok(Ok(condition)) => condition.troubles(now).into_iter().map(|it| it.words).collect(),
        unknown => {
            let error = unknown.ok().and_then(Result::err).map(|error| error.to_string());
            tracing::debug!(error, "The fleet's condition is not known.");
            vec!["How the fleet stands is not known: the database does not say it.".to_owned()]
        }
    }
}

/// That the process turns: nothing is asked of anybody, so that no other's failure gets it restarted.
pub(crate) fn live() -> Response {
    answer(StatusCode::OK, &json!({"status": "ok"}))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    body.to_string()
        .with_content_type("application/json")
        .with_status(status)
        .into_response()
}

/// Serves probes until `stop` is cancelled.
///
/// # Errors
/// [`Error::Serve`] when the listener fails.
pub async fn serve_probes(listener: TcpListener, store: Store, stop: CancellationToken) -> Result<(), Error> {
    let acceptor = TcpAcceptor::from_tokio(listener).map_err(Error::Serve)?;
    Server::new_with_acceptor(acceptor)
        .name("probes")
        .idle_timeout(IDLE)
        .run_with_graceful_shutdown(
            Probes { store },
            async move { stop.cancelled().await },
            Some(Duration::from_secs(1)),
        )
        .await
        .map_err(Error::Serve)
}

#[cfg(test)]
mod tests {
    use store::DatabaseSettings;

    use super::*;

    async fn ask(probes: &Probes, method: Method, path: &'static str) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(poem::http::Uri::from_static(path))
            .finish();
        let response = probes.call(request).await.unwrap();
        let status = response.status();
        let is_refused = status == StatusCode::METHOD_NOT_ALLOWED;
        assert_eq!(response.header("allow"), is_refused.then_some("GET, HEAD"));
        let body = response.into_body().into_string().await.unwrap();
        (status, serde_json::from_str(&body).unwrap())
    }

    #[tokio::test]
    async fn a_process_whose_database_does_not_fit_lives_and_is_not_ready() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::connect(&DatabaseSettings {
            url: format!("sqlite://{}/farm.db?mode=rwc", directory.path().display()),
            max_connections: 2,
        })
        .await
        .unwrap();
        let probes = Probes { store: store.clone() };
        let (status, body) = ask(&probes, Method::GET, "/health").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
        assert!(body["error"].as_str().unwrap().contains("database"), "{body}");
        let (status, _) = ask(&probes, Method::GET, "/health/live").await;
        assert_eq!(status, StatusCode::OK);
        store.migrate().await.unwrap();
        let (status, body) = ask(&probes, Method::GET, "/health").await;
        // No controller leads: that is told, and makes nobody unready.
        assert_eq!(
            (status, &body["status"]),
            (StatusCode::OK, &json!("degraded")),
            "{body}"
        );
        let told = body["fleet"][0].as_str().unwrap();
        assert!(told.contains("no controller has ever led"), "{told}");
        let lease = store
            .acquire_lease(
                model::FleetId(uuid::Uuid::nil()),
                "one",
                Duration::from_secs(600),
                runtime::clock::now(),
            )
            .await;
        assert!(lease.unwrap().is_some());
        let (status, body) = ask(&probes, Method::GET, "/health").await;
        let well = json!({"status": "ok", "database": "ok", "fleet": []});
        assert_eq!((status, body), (StatusCode::OK, well));
    }

    #[tokio::test]
    async fn a_fleet_of_which_the_database_does_not_tell_is_not_said_to_be_well() {
        let now = runtime::clock::now();
        let unknown = ["How the fleet stands is not known: the database does not say it."];
        let refused = store::Error::Unavailable {
            database: "farm".to_owned(),
            why: "it is away".to_owned(),
        };
        assert_eq!(fleet_troubles(async { Err(refused) }, now).await, unknown);
        assert_eq!(fleet_troubles(std::future::pending(), now).await, unknown);
    }

    #[tokio::test]
    async fn nothing_else_is_answered() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::connect(&DatabaseSettings {
            url: format!("sqlite://{}/farm.db?mode=rwc", directory.path().display()),
            max_connections: 2,
        })
        .await
        .unwrap();
        let probes = Probes { store };
        for (method, path, expected) in [
            (Method::POST, "/health", StatusCode::METHOD_NOT_ALLOWED),
            (Method::GET, "/metrics", StatusCode::NOT_FOUND),
            (Method::GET, "/", StatusCode::NOT_FOUND),
        ] {
            let (status, body) = ask(&probes, method, path).await;
            assert_eq!(status, expected, "{path}");
            assert!(body["error"].is_string(), "{body}");
        }
    }
}
