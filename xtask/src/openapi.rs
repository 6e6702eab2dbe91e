//! The API's description, `api/openapi.json`. A test compares the checkout's copy with what the service serves; told so, the
//! same test writes it. The build of the tests is there then, and no other is needed.

use anyhow::{Context, Result};

use crate::progress::say;
use crate::workspace::cargo;

const TEST: &str = "openapi::the_document_in_the_repository_is_the_one_that_is_served";

/// Writes the description.
pub(crate) fn run() -> Result<()> {
    cargo()?
        .args([
            "test",
            "--workspace",
            "--quiet",
            "--test",
            "it",
            "--",
            "--exact",
            TEST,
        ])
        .env("VERDIGRIS_BLESS", "1")
        .show()
        .context("api/openapi.json was not written")?;
    say("api/openapi.json: written");
    Ok(())
}
