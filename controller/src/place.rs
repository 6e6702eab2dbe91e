//! Where a builder's machine is reached, and how it is known.

use std::time::Duration;

use shell::{Endpoint, HostKey};
use store::Builder;

use crate::{Context, Machine, Reach};

/// The address of a builder that serves, and the key that its machine has to prove; `None` where one of them is not on record or
/// cannot be read.
pub(crate) fn place_of(context: &Context, builder: &Builder) -> Option<(Endpoint, HostKey)> {
    let key = HostKey::parse(builder.host_key.as_deref()?).ok()?;
    let endpoint = Endpoint::new(
        builder.address.as_deref()?,
        builder.port,
        context.user_of(&builder.pool),
    );
    Some((endpoint, key))
}

/// The key that a builder's machine may show besides the one that is on record for it: the one that it was told to use, until it was
/// seen with that.
pub(crate) fn next_key(builder: &Builder) -> Result<Option<HostKey>, shell::Error> {
    builder.host_key_next.as_deref().map(HostKey::parse).transpose()
}

/// Connects to a machine that has to prove one of two keys, which is told. Who shows none of them is not spoken to.
pub(crate) async fn open(
    reach: &dyn Reach,
    endpoint: &Endpoint,
    (next, known): (Option<&HostKey>, &HostKey),
    limit: Duration,
) -> Result<(Box<dyn Machine>, HostKey), shell::Error> {
    if let Some(next) = next {
        match reach.open(endpoint, next, limit).await {
            Ok(machine) => return Ok((machine, next.clone())),
            Err(shell::Error::HostKeyMismatch { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let machine = reach.open(endpoint, known, limit).await?;
    Ok((machine, known.clone()))
}
