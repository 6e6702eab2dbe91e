//! The HTTP side alone, over a database that is there already: run by `cargo xtask bench api`, which also builds it at an older
//! commit, with another `era`.
#![expect(clippy::print_stdout, reason = "it tells where it serves")]

use std::{error::Error, path::Path};

use api::ApiState;
use runtime::CancellationToken;
use store::{DatabaseSettings, Store};
use tokio::net::TcpListener;

mod era;

/// Connections that read, as the farm has them unless told otherwise.
const CONNECTIONS: u32 = 8;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, directory] = arguments.as_slice() else {
        return Err("expected: DATABASE DIRECTORY".into());
    };
    let store = Store::connect(&DatabaseSettings {
        url: url.clone(),
        max_connections: CONNECTIONS,
    })
    .await?;
    store.migrate().await?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let settings = era::settings(&format!("http://{address}"), Path::new(directory));
    let state = ApiState::new(store, settings, CancellationToken::new())?;
    println!("{address}");
    api::serve(listener, state).await?;
    Ok(())
}
