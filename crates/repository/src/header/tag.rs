//! The numbers of header entries, from rpm's `rpmtag.h`; only those that are used here. A number means one
//! thing in the signature header and may mean another in the header proper.

use super::Kind;

pub(crate) const HEADER_SIGNATURES: u32 = 62;
pub(crate) const SIGNATURE_DSA: u32 = 267;
pub(crate) const SIGNATURE_RSA: u32 = 268;
pub(crate) const SIGNATURE_SHA1: u32 = 269;
pub(crate) const SIGNATURE_LONG_SIZE: u32 = 270;
pub(crate) const SIGNATURE_LONG_ARCHIVE_SIZE: u32 = 271;
pub(crate) const SIGNATURE_SHA256: u32 = 273;
pub(crate) const SIGNATURE_OPENPGP: u32 = 278;
pub(crate) const SIGNATURE_SHA3_256: u32 = 279;
/// Space for signatures in packages of format 6.
pub(crate) const SIGNATURE_RESERVED_6: u32 = 999;
pub(crate) const SIGNATURE_SIZE: u32 = 1000;
pub(crate) const SIGNATURE_PGP: u32 = 1002;
pub(crate) const SIGNATURE_MD5: u32 = 1004;
pub(crate) const SIGNATURE_GPG: u32 = 1005;
pub(crate) const SIGNATURE_ARCHIVE_SIZE: u32 = 1007;
pub(crate) const SIGNATURE_RESERVED: u32 = 1008;

pub(crate) const NAME: u32 = 1000;
pub(crate) const VERSION: u32 = 1001;
pub(crate) const RELEASE: u32 = 1002;
pub(crate) const EPOCH: u32 = 1003;
pub(crate) const SUMMARY: u32 = 1004;
pub(crate) const DESCRIPTION: u32 = 1005;
pub(crate) const BUILD_TIME: u32 = 1006;
pub(crate) const BUILD_HOST: u32 = 1007;
pub(crate) const SIZE: u32 = 1009;
pub(crate) const VENDOR: u32 = 1011;
pub(crate) const LICENSE: u32 = 1014;
pub(crate) const PACKAGER: u32 = 1015;
pub(crate) const GROUP: u32 = 1016;
pub(crate) const URL: u32 = 1020;
pub(crate) const ARCHITECTURE: u32 = 1022;
pub(crate) const FILE_MODES: u32 = 1030;
pub(crate) const FILE_FLAGS: u32 = 1037;
pub(crate) const SOURCE_RPM: u32 = 1044;
pub(crate) const ARCHIVE_SIZE: u32 = 1046;
pub(crate) const PROVIDE_NAME: u32 = 1047;
pub(crate) const REQUIRE_FLAGS: u32 = 1048;
pub(crate) const REQUIRE_NAME: u32 = 1049;
pub(crate) const REQUIRE_VERSION: u32 = 1050;
pub(crate) const NO_SOURCE: u32 = 1051;
pub(crate) const NO_PATCH: u32 = 1052;
pub(crate) const CONFLICT_FLAGS: u32 = 1053;
pub(crate) const CONFLICT_NAME: u32 = 1054;
pub(crate) const CONFLICT_VERSION: u32 = 1055;
pub(crate) const EXCLUDE_ARCHITECTURE: u32 = 1059;
pub(crate) const EXCLUDE_OS: u32 = 1060;
pub(crate) const EXCLUSIVE_ARCHITECTURE: u32 = 1061;
pub(crate) const EXCLUSIVE_OS: u32 = 1062;
pub(crate) const CHANGELOG_TIME: u32 = 1080;
pub(crate) const CHANGELOG_NAME: u32 = 1081;
pub(crate) const CHANGELOG_TEXT: u32 = 1082;
pub(crate) const BUILD_ARCHITECTURES: u32 = 1089;
pub(crate) const OBSOLETE_NAME: u32 = 1090;
pub(crate) const SOURCE_PACKAGE: u32 = 1106;
pub(crate) const PROVIDE_FLAGS: u32 = 1112;
pub(crate) const PROVIDE_VERSION: u32 = 1113;
pub(crate) const OBSOLETE_FLAGS: u32 = 1114;
pub(crate) const OBSOLETE_VERSION: u32 = 1115;
pub(crate) const DIRECTORY_INDEXES: u32 = 1116;
pub(crate) const BASE_NAMES: u32 = 1117;
pub(crate) const DIRECTORY_NAMES: u32 = 1118;
pub(crate) const LONG_SIZE: u32 = 5009;
pub(crate) const RECOMMEND_NAME: u32 = 5046;
pub(crate) const RECOMMEND_VERSION: u32 = 5047;
pub(crate) const RECOMMEND_FLAGS: u32 = 5048;
pub(crate) const SUGGEST_NAME: u32 = 5049;
pub(crate) const SUGGEST_VERSION: u32 = 5050;
pub(crate) const SUGGEST_FLAGS: u32 = 5051;
pub(crate) const SUPPLEMENT_NAME: u32 = 5052;
pub(crate) const SUPPLEMENT_VERSION: u32 = 5053;
pub(crate) const SUPPLEMENT_FLAGS: u32 = 5054;
pub(crate) const ENHANCE_NAME: u32 = 5055;
pub(crate) const ENHANCE_VERSION: u32 = 5056;
pub(crate) const ENHANCE_FLAGS: u32 = 5057;
pub(crate) const PAYLOAD_DIGEST: u32 = 5092;
pub(crate) const PAYLOAD_DIGEST_ALGORITHM: u32 = 5093;
pub(crate) const PAYLOAD_SIZE: u32 = 5112;
pub(crate) const RPM_FORMAT: u32 = 5114;
pub(crate) const PAYLOAD_SHA512: u32 = 5121;
pub(crate) const PAYLOAD_SHA3_256: u32 = 5123;

/// Whether an entry of the header proper has data of the type that rpm wants for its tag. Tags that are not
/// read here may have any.
pub(crate) const fn has_right_kind(tag: u32, kind: Kind) -> bool {
    match tag {
        NAME | VERSION | RELEASE | BUILD_HOST | VENDOR | LICENSE | PACKAGER | URL | ARCHITECTURE
        | SOURCE_RPM => {
            matches!(kind, Kind::Text)
        }
        // Translated texts, which old packages have as plain ones.
        SUMMARY | DESCRIPTION | GROUP => matches!(kind, Kind::Text | Kind::TextArray),
        PROVIDE_NAME
        | PROVIDE_VERSION
        | REQUIRE_NAME
        | REQUIRE_VERSION
        | CONFLICT_NAME
        | CONFLICT_VERSION
        | OBSOLETE_NAME
        | OBSOLETE_VERSION
        | RECOMMEND_NAME
        | RECOMMEND_VERSION
        | SUGGEST_NAME
        | SUGGEST_VERSION
        | SUPPLEMENT_NAME
        | SUPPLEMENT_VERSION
        | ENHANCE_NAME
        | ENHANCE_VERSION
        | EXCLUDE_ARCHITECTURE
        | EXCLUDE_OS
        | EXCLUSIVE_ARCHITECTURE
        | EXCLUSIVE_OS
        | BUILD_ARCHITECTURES
        | CHANGELOG_NAME
        | CHANGELOG_TEXT
        | BASE_NAMES
        | DIRECTORY_NAMES
        | PAYLOAD_DIGEST => matches!(kind, Kind::TextArray),
        EPOCH
        | BUILD_TIME
        | SIZE
        | ARCHIVE_SIZE
        | FILE_FLAGS
        | CHANGELOG_TIME
        | SOURCE_PACKAGE
        | DIRECTORY_INDEXES
        | PROVIDE_FLAGS
        | REQUIRE_FLAGS
        | CONFLICT_FLAGS
        | OBSOLETE_FLAGS
        | RECOMMEND_FLAGS
        | SUGGEST_FLAGS
        | SUPPLEMENT_FLAGS
        | ENHANCE_FLAGS
        | PAYLOAD_DIGEST_ALGORITHM
        | RPM_FORMAT => matches!(kind, Kind::Int32),
        FILE_MODES => matches!(kind, Kind::Int16),
        LONG_SIZE | PAYLOAD_SIZE => matches!(kind, Kind::Int64),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 6] = [
        Kind::Bytes,
        Kind::Int16,
        Kind::Int32,
        Kind::Int64,
        Kind::Text,
        Kind::TextArray,
    ];

    #[test]
    fn an_entry_is_read_only_with_data_of_the_type_that_rpm_writes() {
        for (tags, right) in [
            (
                vec![NAME, VERSION, RELEASE, ARCHITECTURE, SOURCE_RPM, URL],
                vec![Kind::Text],
            ),
            (
                vec![SUMMARY, DESCRIPTION, GROUP],
                vec![Kind::Text, Kind::TextArray],
            ),
            (
                vec![
                    PROVIDE_NAME,
                    REQUIRE_VERSION,
                    BASE_NAMES,
                    CHANGELOG_TEXT,
                    PAYLOAD_DIGEST,
                ],
                vec![Kind::TextArray],
            ),
            (
                vec![
                    EPOCH,
                    BUILD_TIME,
                    SIZE,
                    REQUIRE_FLAGS,
                    DIRECTORY_INDEXES,
                    RPM_FORMAT,
                ],
                vec![Kind::Int32],
            ),
            (vec![FILE_MODES], vec![Kind::Int16]),
            (vec![LONG_SIZE, PAYLOAD_SIZE], vec![Kind::Int64]),
            // What nothing here reads may be anything.
            (vec![1, 999_999], KINDS.to_vec()),
        ] {
            for tag in tags {
                for kind in KINDS {
                    let is_right = right.contains(&kind);
                    assert_eq!(has_right_kind(tag, kind), is_right, "{tag} {kind:?}");
                }
            }
        }
    }
}
