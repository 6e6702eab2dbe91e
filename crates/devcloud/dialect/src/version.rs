//! The services whose requests are understood, and the versions of their interfaces.

/// A service with a Query API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Api {
    /// Instances and all that belongs to them.
    Ec2,
    /// Who the caller is.
    Sts,
    /// Users.
    Iam,
}

/// The dates of EC2's interface that Amazon has published.
const EC2: &[&str] = &[
    "2006-06-26",
    "2006-10-01",
    "2007-01-03",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2008-02-01",
    "2008-05-05",
    "2008-08-08",
    "2008-12-01",
    "2009-03-01",
    "2009-04-04",
    "2009-07-15",
    "2009-08-15",
    "2009-10-31",
    "2009-11-30",
    "2010-06-15",
    "2010-08-31",
    "2010-11-15",
    "2011-01-01",
    "2011-02-28",
    "2011-05-15",
    "2011-07-15",
    "2011-11-01",
    "2011-12-01",
    "2011-12-15",
    "2012-03-01",
    "2012-04-01",
    "2012-05-01",
    "2012-06-01",
    "2012-06-15",
    "2012-07-20",
    "2012-08-15",
    "2012-10-01",
    "2012-12-01",
    "2013-02-01",
    "2013-06-15",
    "2013-07-15",
    "2013-08-15",
    "2013-10-01",
    "2013-10-15",
    "2014-02-01",
    "2014-05-01",
    "2014-06-15",
    "2014-09-01",
    "2014-10-01",
    "2015-03-01",
    "2015-04-15",
    "2015-10-01",
    "2016-04-01",
    "2016-09-15",
    "2016-11-15",
];

impl Api {
    /// The service of this name in the scope of a signature.
    #[must_use]
    pub fn of_scope(service: &str) -> Option<Self> {
        match service {
            "ec2" => Some(Self::Ec2),
            "sts" => Some(Self::Sts),
            "iam" => Some(Self::Iam),
            _ => None,
        }
    }

    /// The service's name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "AmazonEC2",
            Self::Sts => "AWSSecurityTokenService",
            Self::Iam => "AmazonIdentityManagement",
        }
    }

    /// Whether there is this version of the service's interface.
    #[must_use]
    pub fn has_version(self, version: &str) -> bool {
        match self {
            Self::Ec2 => EC2.contains(&version),
            Self::Sts => version == "2011-06-15",
            Self::Iam => version == "2010-05-08",
        }
    }

    /// The XML namespace of answers in this version.
    #[must_use]
    pub fn namespace(self, version: &str) -> String {
        match self {
            Self::Ec2 => format!("http://ec2.amazonaws.com/doc/{version}/"),
            Self::Sts => format!("https://sts.amazonaws.com/doc/{version}/"),
            Self::Iam => format!("https://iam.amazonaws.com/doc/{version}/"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Api, EC2};

    #[test]
    fn a_service_is_known_by_its_name_in_the_scope() {
        for (service, api) in [
            ("ec2", Some(Api::Ec2)),
            ("sts", Some(Api::Sts)),
            ("iam", Some(Api::Iam)),
            ("EC2", None),
            ("s3", None),
            ("ec2 ", None),
            ("", None),
        ] {
            assert_eq!(Api::of_scope(service), api, "{service:?}");
        }
    }

    #[test]
    fn a_service_has_the_versions_that_were_published_and_no_others() {
        for (api, version, known) in [
            (Api::Ec2, "2016-11-15", true),
            // Eucalyptus's clients send this one, the first of all, and one with a day in between.
            (Api::Ec2, "2013-02-01", true),
            (Api::Ec2, "2006-06-26", true),
            (Api::Ec2, "2013-02-02", false),
            (Api::Ec2, "1999-01-01", false),
            (Api::Ec2, "2011-06-15", false),
            (Api::Ec2, "2016-11-15 ", false),
            (Api::Ec2, "latest", false),
            (Api::Ec2, "", false),
            (Api::Sts, "2011-06-15", true),
            (Api::Sts, "2016-11-15", false),
            (Api::Iam, "2010-05-08", true),
            (Api::Iam, "2011-06-15", false),
        ] {
            assert_eq!(api.has_version(version), known, "{} {version:?}", api.name());
        }
        assert!(EC2.is_sorted(), "a date in its place is found by a reader");
    }

    #[test]
    fn answers_are_in_the_namespace_of_the_version_that_was_asked_for() {
        for (api, version, namespace) in [
            (Api::Ec2, "2013-02-01", "http://ec2.amazonaws.com/doc/2013-02-01/"),
            (Api::Ec2, "2016-11-15", "http://ec2.amazonaws.com/doc/2016-11-15/"),
            (
                Api::Sts,
                "2011-06-15",
                "https://sts.amazonaws.com/doc/2011-06-15/",
            ),
            (
                Api::Iam,
                "2010-05-08",
                "https://iam.amazonaws.com/doc/2010-05-08/",
            ),
        ] {
            assert_eq!(api.namespace(version), namespace);
        }
    }
}
