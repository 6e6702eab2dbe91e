//! Key pairs: imported, or made by `ssh-keygen` and given out once. Private halves are never kept.

mod material;

use base64::{Engine, engine::general_purpose::STANDARD};
use devcloud_dialect::{
    ApiError, Filters, Xml,
    request::{CreateKeyPair, DeleteKeyPair, DescribeKeyPairs, ImportKeyPair, text::NewKeyName},
    tag_values,
};
use time::OffsetDateTime;

use self::material::PublicKey;
use super::{
    actions::{Call, Change, Question},
    service::Service,
    tags, view,
};
use crate::ledger::{KeyPair, State};

/// What the calls that make a key pair can tag.
const MADE: &[&str] = &["key-pair"];

impl Change for ImportKeyPair {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let service = call.service;
        let name = required(self.key_name)?;
        let specifications = tags::Specifications::check(&self.tag_specification, MADE)?;
        let material = self
            .public_key_material
            .ok_or_else(|| ApiError::missing("PublicKeyMaterial"))?;
        let plain: String = material.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let text = STANDARD
            .decode(plain)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let key = text.and_then(|text| PublicKey::parse(&text)).ok_or_else(|| {
            ApiError::new(
                "InvalidKey.Format",
                "Key is not in valid OpenSSH public key format: ssh-ed25519 or ssh-rsa",
            )
        })?;
        refuse_new(&service.ledger.snapshot(), &name)?;
        call.dry_run.end()?;
        let fingerprint = key.imported_fingerprint(service.ledger.directory()).await?;
        let pair = store(service, name, key, fingerprint, specifications).await?;
        let mut xml = Xml::default();
        show(&mut xml, service, &pair);
        Ok(xml)
    }
}

impl Change for CreateKeyPair {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let service = call.service;
        let name = required(self.key_name)?;
        let specifications = tags::Specifications::check(&self.tag_specification, MADE)?;
        refuse_new(&service.ledger.snapshot(), &name)?;
        call.dry_run.end()?;
        let kind = self.key_type.unwrap_or_default();
        let made = material::generate(service.ledger.directory(), kind, &name).await?;
        let pair = store(service, name, made.public, made.fingerprint, specifications).await?;
        let mut xml = Xml::default();
        show(&mut xml, service, &pair);
        xml.put("keyMaterial", made.private);
        Ok(xml)
    }
}

impl Question for DescribeKeyPairs {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let (names, ids) = (self.key_name, self.key_pair_id);
        let with_key = self.include_public_key.unwrap_or(false);
        let filters = Filters::check(
            self.filter,
            &["fingerprint", "key-name", "key-pair-id", "tag-key", "tag:"],
        )?;
        let state = service.ledger.snapshot();
        if let Some(name) = names.iter().find(|name| !state.key_pairs.contains_key(*name)) {
            return Err(not_found(name));
        }
        if let Some(id) = ids
            .iter()
            .find(|id| !state.key_pairs.values().any(|key| key.id == **id))
        {
            return Err(not_found(id));
        }
        let found = state.key_pairs.values().filter(|key| {
            let named =
                names.is_empty() && ids.is_empty() || names.contains(&key.name) || ids.contains(&key.id);
            named
                && filters.pass(|name| match name {
                    "fingerprint" => vec![key.fingerprint.clone()],
                    "key-name" => vec![key.name.clone()],
                    "key-pair-id" => vec![key.id.clone()],
                    other => tag_values(state.tags.get(&key.id), other),
                })
        });
        let mut xml = Xml::default();
        xml.list("keySet", found, |xml, key| {
            show(xml, service, key);
            xml.put("keyType", &key.kind);
            xml.put("createTime", view::timestamp(key.created));
            xml.put_some("publicKey", with_key.then_some(&key.public_key));
        });
        Ok(xml)
    }
}

impl Change for DeleteKeyPair {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let service = call.service;
        let name = match (self.key_name, self.key_pair_id) {
            (Some(name), None) => Some(name),
            (None, Some(id)) => {
                let state = service.ledger.snapshot();
                let mut pairs = state.key_pairs.values();
                pairs.find(|key| key.id == id).map(|key| key.name.clone())
            }
            (None, None) => return Err(ApiError::missing("KeyName")),
            (Some(_), Some(_)) => {
                let message = "A key pair is named by KeyName or by KeyPairId, not by both";
                return Err(ApiError::new("InvalidParameterCombination", message));
            }
        };
        call.dry_run.end()?;
        // Deleting what is not there succeeds, as in EC2.
        let deleted = service
            .ledger
            .commit(move |state| {
                let key = name.and_then(|name| state.key_pairs.remove(&name));
                if let Some(key) = &key {
                    state.tags.remove(&key.id);
                }
                Ok::<_, ApiError>(key)
            })
            .await?;
        let mut xml = Xml::default();
        xml.put("return", true);
        xml.put_some("keyPairId", deleted.map(|key| key.id));
        Ok(xml)
    }
}

fn required(name: Option<NewKeyName>) -> Result<String, ApiError> {
    name.map(|name| name.0)
        .ok_or_else(|| ApiError::missing("KeyName"))
}

fn show(xml: &mut Xml, service: &Service, key: &KeyPair) {
    xml.put("keyName", &key.name);
    xml.put("keyFingerprint", &key.fingerprint);
    xml.put("keyPairId", &key.id);
    view::tags(xml, &service.ledger.snapshot(), &key.id);
}

fn not_found(name: &str) -> ApiError {
    ApiError::new(
        "InvalidKeyPair.NotFound",
        format!("The key pair '{name}' does not exist"),
    )
}

fn refuse_new(state: &State, name: &str) -> Result<(), ApiError> {
    if state.key_pairs.contains_key(name) {
        let message = format!("The keypair '{name}' already exists.");
        return Err(ApiError::new("InvalidKeyPair.Duplicate", message));
    }
    Ok(())
}

async fn store(
    service: &Service,
    name: String,
    key: PublicKey,
    fingerprint: String,
    specifications: tags::Specifications,
) -> Result<KeyPair, ApiError> {
    let profile = service.config.profile.clone();
    service
        .ledger
        .commit(move |state| {
            refuse_new(state, &name)?;
            let pair = KeyPair {
                id: profile.new_id("key")?,
                name: name.clone(),
                kind: key.kind.name().to_owned(),
                fingerprint,
                public_key: key.line,
                created: OffsetDateTime::now_utc(),
            };
            specifications.apply(state, &[("key-pair", &pair.id)]);
            state.key_pairs.insert(name, pair.clone());
            Ok(pair)
        })
        .await
}
