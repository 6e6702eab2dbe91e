//! `verdigris fleet init`: a first fleet file with all that may be written in it, explained where it stands.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use model::fleet::FleetSpec;
use uuid::Uuid;

use crate::say;

mod write;

use write::write;

/// What stands in a file whose image is not known yet.
const SOME_IMAGE: &str = "ami-0123456789abcdef0";
const SOME_EUCALYPTUS_IMAGE: &str = "emi-01234567";

/// What every file begins with.
const HEAD: &str = "\
# The fleet: which clouds to rent from, and how many builders there shall be. docs/fleet-file.md explains every key, and
# `verdigris fleet schema` helps editors with them. What begins with `#` may be left out: it is the default, or an example of
# what may be said. `verdigris fleet plan` shows what the file leads to, and `verdigris fleet plan --diff FILE` what another would.
";

/// What every file ends with.
const HOOKS: &str = "\
# How builders are shared between owners, beside that they take turns: the most that the builds of one have at once.
# fairness:
  # caps: {owner: 90}

# Commands of yours at turns in a builder's life: what happened is told them as JSON on their standard input.
# hooks:
  # A machine is asked for when these have ended.
  # before_spawn: []
  # after_spawn: []
  # What ends with 75 is tried again, and with `on_failure: retry` whatever fails. Without `pools` it runs for all.
  # after_ready: [{cmd: [/etc/verdigris/hooks/register], timeout: 30s, on_failure: ignore, attempts: 3, pools: [x86_64]}]
  # A machine ends half a minute later at the latest.
  # before_terminate: [{cmd: [/etc/verdigris/hooks/unregister], skip_if: unreachable}]
  # after_terminate: []
";

/// A cloud to rent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CloudChoice {
    /// The cloud inside `verdigris up`, or a devcloud at --endpoint.
    Devcloud,
    /// Amazon's EC2.
    Ec2,
    /// A Eucalyptus at --endpoint.
    Eucalyptus,
}

/// What a first fleet file says.
#[derive(Clone, Debug, Args)]
pub(crate) struct InitArguments {
    /// The file to write; `-` is the output of this command.
    #[arg(short, long, default_value = "fleet.yaml", value_name = "FILE")]
    output: PathBuf,
    /// Write over a file that is there.
    #[arg(long)]
    force: bool,
    /// The fleet's name for people.
    #[arg(long, default_value = "production")]
    name: String,
    /// What to rent from.
    #[arg(long, value_enum, default_value_t = CloudChoice::Ec2)]
    cloud: CloudChoice,
    /// The region. Needed for EC2; else dev-1 or eucalyptus.
    #[arg(long)]
    region: Option<String>,
    /// The address of the cloud's API. Needed for Eucalyptus, where it ends in /services/compute.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The machine image, by the cloud's id; an example without it.
    #[arg(long, value_name = "ID")]
    image: Option<String>,
    /// The most builders at once.
    #[arg(long, default_value_t = 4, value_name = "COUNT")]
    max: u32,
}

/// Writes the file.
pub(crate) fn init(arguments: &InitArguments) -> anyhow::Result<()> {
    let text = text(arguments, Uuid::now_v7())?;
    let path = &arguments.output;
    if path.as_os_str() == "-" {
        say(text.trim_end());
        return Ok(());
    }
    write(path, &text, arguments.force)?;
    let shown = path.display();
    say(&format!("Wrote {shown}."));
    if arguments.image.is_none() {
        say("Its image is an example: write yours there, in `images`.");
    }
    say("`verdigris config check` says what is still wrong, when `fleet.file` in the settings names it.");
    Ok(())
}

/// `key: value` on lines of its own, as YAML has it, so far to the right.
fn entry(indent: usize, key: &str, value: &str) -> anyhow::Result<String> {
    let text = serde_yaml::to_string(&std::collections::BTreeMap::from([(key, value)]))?;
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!("{}{line}", " ".repeat(indent)))
        .collect();
    Ok(lines.join("\n").trim_start().to_owned())
}

/// What differs from cloud to cloud.
struct Choice {
    name: &'static str,
    region: String,
    /// The lines of the endpoint and of the profile: in force, or as a comment.
    endpoint: String,
    profile: &'static str,
    credentials: &'static str,
    image: &'static str,
    port: u16,
    instance_type: &'static str,
}

fn choice(arguments: &InitArguments) -> anyhow::Result<Choice> {
    let region = |default: Option<&str>| {
        let given = arguments.region.as_deref().or(default);
        let given = given.context("--region is needed: the region to rent in, such as eu-central-1")?;
        entry(4, "region", given)
    };
    let endpoint = match &arguments.endpoint {
        Some(endpoint) => entry(4, "endpoint", endpoint)?,
        None => "# endpoint: https://ec2.example.org/".to_owned(),
    };
    let aws = "# profile: aws";
    Ok(match arguments.cloud {
        CloudChoice::Ec2 => Choice {
            name: "ec2",
            region: region(None)?,
            endpoint,
            profile: aws,
            credentials: "{source: environment}   # AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; instance-role: of this machine of EC2",
            image: SOME_IMAGE,
            port: 22,
            instance_type: "c7i.xlarge",
        },
        CloudChoice::Eucalyptus => {
            ensure!(
                arguments.endpoint.is_some(),
                "--endpoint is needed: the address of the Eucalyptus, such as \
                 https://compute.example.org:8773/services/compute"
            );
            Choice {
                name: "eucalyptus",
                region: region(Some("eucalyptus"))?,
                endpoint,
                profile: "profile: eucalyptus",
                credentials: "{source: file, path: /etc/verdigris/eucalyptus.toml}   # access_key and secret_key",
                image: SOME_EUCALYPTUS_IMAGE,
                port: 22,
                instance_type: "m1.xlarge",
            }
        }
        CloudChoice::Devcloud => Choice {
            name: "devcloud",
            region: region(Some("dev-1"))?,
            credentials: match arguments.endpoint {
                Some(_) => "{source: file, path: /etc/verdigris/devcloud.toml}   # access_key and secret_key",
                None => "{source: embedded}   # of the devcloud inside `verdigris up`",
            },
            endpoint,
            profile: aws,
            image: SOME_IMAGE,
            port: devcloud::config::default_ssh_port(),
            instance_type: "c7i.xlarge",
        },
    })
}

/// The whole file. What is a comment has its default, and may be left out.
fn text(arguments: &InitArguments, fleet: Uuid) -> anyhow::Result<String> {
    let of = choice(arguments)?;
    let image = entry(4, "id", arguments.image.as_deref().unwrap_or(of.image))?;
    let text = format!(
        r#"{HEAD}schema: 1
# The value of the tag on every instance. Never change it while machines run: they would be nobody's.
fleet: {fleet}
{fleet_name}

# controller:
  # How long to pause between two rounds, while something is under way and while nothing is.
  # tick: {{min: 2s, max: 30s}}
  # One of several controllers leads, for `ttl` after it has last renewed its lease.
  # lease: {{ttl: 15s, renew: 5s}}
  # reap_per_hour: 20   # machines without a builder that are ended in an hour, in each cloud

clouds:
  {name}:
    kind: ec2
    {region}
    # The address of its API; Amazon's of the region without it. Eucalyptus's ends in /services/compute.
    {endpoint}
    # Which parts of the API it knows: aws or eucalyptus.
    {profile}
    credentials: {credentials}
    # The cloud's own defaults without it. The controller and the workers have to be let in, and nobody else.
    # network: {{subnet: subnet-0123456789abcdef0, subnets: {{}}, security_groups: [sg-0123456789abcdef0]}}
    # What all pools, and others in the account, may have there together.
    # limits: {{instances: 40, money: {{per_day: 90, soft_from: 72, soft: no-headroom, hard: no-launches}}, calls: {{launch: 2, change: 5, read: 20}}}}
    # api_share: 0.7   # of the calls that Amazon documents for an account; other endpoints have only `limits.calls`
    # prices: {{c7i.xlarge: {{on-demand: 0.2, spot: 0.08}}}}   # for an hour, for `fleet status`, `fleet why` and `limits.money`

images:
  # It needs sshd, Python 3 and cloud-init.
  builder:
    cloud: {name}
    {image}
  # Instead of an id the newest that matches, asked for every five minutes. The owner is self, amazon or an account's id in quotes.
  # newest: {{cloud: {name}, select: {{owner: self, name: "builder-x86_64-*", min_age: 0s}}}}

provision:
  builder:
    connect: {{user: root, port: {port}}}
    # playbook: builder.yml
    # check: check.yml
    # `ansible` has the real Ansible play them; `ansible: {{command: PATH}}` says where it is.
    # runner: builtin
    # How long each stage on the way to a builder may take.
    # timeouts: {{launch: 60s, pending: 5m, boot: 5m, provision: 15m, check: 60s}}
    # Handed to the playbooks.
    # vars: {{}}

{pools}{HOOKS}"#,
        fleet_name = entry(0, "name", &arguments.name)?,
        name = of.name,
        region = of.region,
        endpoint = of.endpoint,
        profile = of.profile,
        credentials = of.credentials,
        port = of.port,
        pools = pools(arguments.max, of.instance_type),
    );
    // What an option says is checked as if it stood in a file.
    runtime::yaml::parse_and_check(&text, "the file", FleetSpec::contradictions)?;
    Ok(text)
}

/// The part of the pools.
fn pools(max: u32, instance_type: &str) -> String {
    format!(
        r#"pools:
  x86_64:
    # What may be built there: `chroot:fedora-*` narrows it.
    labels: ["arch:x86_64"]
    # Pools with a higher one are used first.
    # priority: 0
    # With true nothing is launched; the builders that are there go on.
    # paused: false
    image: builder
    provision: builder
    # One from user data is replaced at the first connection. With `console` no key is in user data: a machine prints its own there.
    # host_key: user-data
    # At least `min`, at most `max`, and `idle` ready ones besides those in use; or a part of those, such as `idle: 10%, idle_cap: 4`.
    size: {{min: 0, max: {max}, idle: 0}}
    # Times of the week at which `idle` or `min` are others: days such as any, tue,sat or mon-fri.
    # schedule: [{{days: mon-fri, hours: "07:00-19:00", zone: Europe/Prague, idle: 1}}]
    # So many on their way at once; so many refused launches for one builder; `rate: 1/3s` spreads them over time.
    # launch: {{parallel: 10, attempts: 3}}
    # Tried in this order. Without `zones` the cloud chooses.
    offerings:
      - types: [{instance_type}]
        # zones: [zone-1a]
        # Those of the spot market cost less and may be taken back: `market: spot`, and `max_price: 0.156` for an hour at most.
        # market: on-demand
        # So many machines of this line at most: `max: 20`. Where it is not the first line, `after: 30s` has it asked for only when those
        # before it were refused for so long.
    # The root volume, where it is to be larger than the image's or of another type; without either as the image has it.
    # disk: {{size: 160g, type: gp3}}
    # How long a builder stays that is not needed.
    # shrink: {{idle_for: 10m}}
    # Whether a builder that ran a build may run more of the same submitter's in the same project: `scope: sandbox`.
    # reuse: {{scope: never, idle_for: 90s, max_uses: 8, max_age: 30m}}
    # So many are replaced at once that would be made otherwise by now; on those with such differences no build begins any more:
    # `urgent_on: [image, provision, files, chroots]`. With `when` the others leave in that time of the week only.
    # drift: {{budget: 10%, urgent_on: [], when: {{days: mon-fri, hours: "01:00-05:00", zone: Europe/Prague}}}}
    # How long `fleet hold` keeps a builder for somebody to look at, without `--for` and at most; so many at once.
    # hold: {{default: 1h, max: 72h, limit: 5}}
  # A pool of machines that are always there has `hosts` instead of `image` and `offerings`. `verdigris fleet key` prints the
  # key that they have to let in.
  # rack:
    # labels: ["arch:x86_64"]
    # provision: builder
    # size: {{max: 1, idle: 1}}
    # Each with its own `port` and `host_key`, where it has them: host_key: ssh-ed25519 AAAA...
    # hosts: [{{name: rack-1, address: 192.0.2.7}}]
"#
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser;
    use model::fleet::{CloudProfile, CredentialsSource, DiskType, FleetSpec};

    use super::{InitArguments, Uuid, text};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        init: InitArguments,
    }

    fn written(options: &str) -> anyhow::Result<String> {
        let words = std::iter::once("init").chain(options.split('|').filter(|it| !it.is_empty()));
        text(&Line::try_parse_from(words).unwrap().init, Uuid::nil())
    }

    fn read(text: &str) -> FleetSpec {
        let read = runtime::yaml::parse_and_check(text, "f", FleetSpec::contradictions);
        read.unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    const CHOICES: &[&str] = &[
        "--region|eu-central-1",
        "--region|eu-central-1|--image|ami-7|--max|0|--endpoint|http://127.0.0.1:1/",
        "--cloud|eucalyptus|--endpoint|https://compute.example.org:8773/services/compute",
        "--cloud|devcloud",
        "--cloud|devcloud|--endpoint|http://127.0.0.1:8773/",
        "--cloud|devcloud|--name|yes",
        "--cloud|devcloud|--name|a: {b #c\n'd\"|--region|x: #y",
    ];

    #[test]
    fn each_choice_is_a_file_that_says_what_was_chosen() {
        for options in CHOICES {
            let spec = read(&written(options).unwrap());
            let given = |name: &str| options.split('|').skip_while(|it| *it != name).nth(1);
            let (_, cloud) = spec.clouds.iter().next().unwrap();
            assert_eq!(spec.name, given("--name").unwrap_or("production"), "{options}");
            assert_eq!(cloud.endpoint.as_deref(), given("--endpoint"), "{options}");
            if let Some(region) = given("--region") {
                assert_eq!(cloud.region, region, "{options}");
            }
            let expected = match (given("--cloud"), given("--endpoint")) {
                (None, _) => (CloudProfile::Aws, CredentialsSource::Environment, 22),
                (Some("eucalyptus"), _) => (CloudProfile::Eucalyptus, CredentialsSource::File, 22),
                (_, Some(_)) => (CloudProfile::Aws, CredentialsSource::File, 2222),
                (_, None) => (CloudProfile::Aws, CredentialsSource::Embedded, 2222),
            };
            let found = (
                cloud.profile,
                cloud.credentials.source,
                spec.provision["builder"].connect.port,
            );
            assert_eq!(found, expected, "{options}");
        }
    }

    /// The lines that are only comments put in force: those that begin with a key.
    fn with_all_in_force(text: &str) -> String {
        let line = |line: &str| {
            let indent = line.len() - line.trim_start().len();
            let rest = line.trim_start().strip_prefix("# ");
            let key = rest.and_then(|rest| rest.split_once(':')).map(|(key, _)| key);
            match (rest, key) {
                (Some(rest), Some(key)) if key.chars().all(|c| c.is_ascii_lowercase() || c == '_') => {
                    format!("{}{rest}\n", " ".repeat(indent))
                }
                _ => format!("{line}\n"),
            }
        };
        text.lines().map(line).collect()
    }

    #[test]
    fn what_stands_in_comments_is_right_and_is_the_default() {
        let text = written("--region|r").unwrap();
        let mut whole = read(&with_all_in_force(&text));
        let cloud = whole.clouds.get_mut("ec2").unwrap();
        let network = std::mem::take(&mut cloud.network);
        let limits = std::mem::take(&mut cloud.limits);
        assert_eq!(network.security_groups, ["sg-0123456789abcdef0"]);
        assert!(network.subnet.is_some() && cloud.endpoint.take().is_some());
        assert_eq!(cloud.api_share.take(), "0.7".parse().ok());
        assert!(limits.instances.is_some() && limits.money.is_some() && limits.calls.read.is_some());
        assert!(cloud.prices.remove("c7i.xlarge").is_some());
        let select = whole.images.remove("newest").and_then(|it| it.select).unwrap();
        assert_eq!(select.min_age, model::quantity::Span::seconds(0));
        let rack = whole.pools.remove(&"rack".parse().unwrap()).unwrap();
        assert_eq!((rack.hosts[0].name.as_str(), rack.hosts.len()), ("rack-1", 1));
        let pool = whole.pools.values_mut().next().unwrap();
        assert_eq!(std::mem::take(&mut pool.schedule).len(), 1);
        assert_eq!(std::mem::take(&mut pool.offerings[0].zones), ["zone-1a"]);
        assert_eq!(pool.drift.when.take().unwrap().zone.to_string(), "Europe/Prague");
        assert_eq!(pool.hold.limit.take(), Some(5));
        let disk = pool.disk.take().unwrap();
        assert_eq!((disk.size, disk.kind), ("160g".parse().ok(), Some(DiskType::Gp3)));
        let provision = whole.provision.get_mut("builder").unwrap();
        assert_eq!(
            provision.timeouts.deadlines(),
            model::builder::Deadlines::default()
        );
        provision.timeouts = Default::default();
        assert_eq!(whole.fairness.caps.owner.take(), Some(90));
        let hooks = std::mem::take(&mut whole.hooks);
        let expected = serde_json::json!({
            "after_ready": [{"cmd": ["/etc/verdigris/hooks/register"], "pools": ["x86_64"]}],
            "before_terminate": [{"cmd": ["/etc/verdigris/hooks/unregister"], "skip_if": "unreachable"}],
        });
        assert_eq!(hooks, serde_json::from_value(expected).unwrap());
        assert_eq!(whole, read(&text));
    }

    #[test]
    fn every_key_that_the_schema_has_stands_in_it() {
        fn keys(value: &serde_json::Value, found: &mut BTreeSet<String>) {
            for (name, below) in value.as_object().into_iter().flatten() {
                if name == "properties" {
                    let below = below.as_object().into_iter().flatten();
                    found.extend(below.map(|(key, _)| key.clone()));
                }
                keys(below, found);
            }
        }
        let mut known = BTreeSet::new();
        keys(&model::fleet::schema(), &mut known);
        let text = written("--cloud|eucalyptus|--endpoint|http://x/").unwrap();
        let missing: Vec<_> = known
            .iter()
            .filter(|key| !text.contains(&format!("{key}:")))
            .collect();
        assert!(missing.is_empty() && known.len() > 35, "{missing:?} of {known:?}");
    }

    #[test]
    fn what_cannot_be_a_file_is_refused_with_what_is_needed() {
        for (options, words) in [
            (
                "",
                "--region is needed: the region to rent in, such as eu-central-1",
            ),
            (
                "--cloud|eucalyptus",
                "--endpoint is needed: the address of the Eucalyptus, such as https://compute.example.org:8773/services/compute",
            ),
            (
                "--region|r|--endpoint|localhost",
                "clouds.ec2.endpoint: `localhost` does not begin with http://",
            ),
            ("--region| ", "clouds.ec2.region: it is empty"),
            ("--region|r|--name|", "name: it is empty"),
        ] {
            // The last word may be an empty one.
            let mut words_given: Vec<&str> = std::iter::once("init").chain(options.split('|')).collect();
            words_given.retain(|word| !word.is_empty() || options.ends_with('|'));
            let said = text(&Line::try_parse_from(words_given).unwrap().init, Uuid::nil()).unwrap_err();
            assert!(format!("{said:#}").contains(words), "{options}: {said:#}");
        }
    }
}
