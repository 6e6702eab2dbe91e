//! Tokens of metadata version 2: their end, a nonce and an HMAC over both and the instance's id.

use base64::{Engine, engine::general_purpose::URL_SAFE};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use time::OffsetDateTime;

use devcloud_dialect::ids::random;

/// Bytes before the HMAC: the end in seconds since 1970, and a nonce.
const HEAD: usize = 16;

/// Makes and checks tokens with a key of its own; after a restart clients fetch new ones, as they do after the end.
pub(super) struct Tokens {
    key: [u8; 32],
}

impl Tokens {
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { key: random()? })
    }

    pub(super) fn make(
        &self,
        id: &str,
        seconds: u32,
        now: OffsetDateTime,
    ) -> Result<String, getrandom::Error> {
        let end = now.unix_timestamp().saturating_add(i64::from(seconds));
        let mut token = end.to_be_bytes().to_vec();
        token.extend(random::<8>()?);
        if let Some(mac) = self.mac(id, &token) {
            token.extend(mac.finalize().into_bytes());
        }
        Ok(URL_SAFE.encode(token))
    }

    pub(super) fn is_good(&self, token: &str, id: &str, now: OffsetDateTime) -> bool {
        let Ok(token) = URL_SAFE.decode(token) else {
            return false;
        };
        let Some((head, signature)) = token.split_at_checked(HEAD) else {
            return false;
        };
        let Some(end) = head.first_chunk::<8>().map(|bytes| i64::from_be_bytes(*bytes)) else {
            return false;
        };
        let signed = self
            .mac(id, head)
            .is_some_and(|mac| mac.verify_slice(signature).is_ok());
        signed && now.unix_timestamp() < end
    }

    fn mac(&self, id: &str, head: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.key).ok()?;
        mac.update(head);
        mac.update(id.as_bytes());
        Some(mac)
    }
}

#[cfg(test)]
mod tests;
