//! Where a builder's machine is reached, and how it is known.

use shell::{Endpoint, HostKey};
use store::Builder;

use crate::Context;

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
