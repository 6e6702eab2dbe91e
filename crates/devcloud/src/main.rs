//! `devcloud serve`: the cloud as a program of its own, for other clients than the farm and for tests.
//!
//! The same executable is also the first process of machines (`devcloud guest ...`), which is why `main` looks at
//! its arguments before anything else is started.

use std::{io::IsTerminal as _, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use devcloud::{Cloud, CloudConfig, Error, Forward, ImageConfig, Profile};
use devcloud_dialect::whole_number;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// An EC2-compatible cloud in one machine.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API until interrupted; instances come back at the next start.
    Serve(Box<Serve>),
}

#[derive(Args)]
struct Serve {
    /// Directory of the ledger and the disks.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Directory of an image (with an image.json); may be given several times.
    #[arg(long = "image", value_name = "DIR", required = true)]
    images: Vec<PathBuf>,
    /// Address of the API, on loopback.
    #[arg(long, default_value = "127.0.0.1:8773")]
    listen: SocketAddr,
    /// The access key that clients have to use.
    #[arg(long, env = "AWS_ACCESS_KEY_ID", default_value = "devcloud")]
    access_key: String,
    /// The secret that belongs to it.
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    secret_key: String,
    /// The token that clients have to send with the key, as if it were good for some hours only.
    #[arg(long, env = "AWS_SESSION_TOKEN", hide_env_values = true)]
    session_token: Option<String>,
    /// The region's name.
    #[arg(long, default_value = "dev-1")]
    region: String,
    /// Whose dialect of EC2 is spoken.
    #[arg(long, value_enum, default_value_t = Dialect::Aws)]
    profile: Dialect,
    /// Port of public addresses that leads to an instance's sshd [default: 2222].
    #[arg(long)]
    ssh_port: Option<u16>,
    /// Second number of the network of public addresses, 127.N.0.0/16.
    #[arg(long, value_name = "N", default_value_t = 88)]
    public_network: u8,
    /// A port at 10.88.0.1 inside the cloud that leads to an address of this host.
    #[arg(long = "forward", value_name = "PORT=ADDRESS:PORT", value_parser = parse_forward)]
    forwards: Vec<Forward>,
    /// Let instances reach the network outside, by translation of addresses (needs slirp4netns).
    #[arg(long)]
    outside: bool,
    /// How many instances may be there at once.
    #[arg(long, default_value_t = 256)]
    max_instances: u32,
    /// Memory limit of machines in percent of what their type says.
    #[arg(long, value_name = "PERCENT")]
    memory_percent: Option<u32>,
    /// Seconds for which a terminated instance can be described.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    retention: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Dialect {
    Aws,
    Eucalyptus,
}

fn parse_forward(text: &str) -> Result<Forward, String> {
    let (port, target) = text.split_once('=').ok_or("it has the form PORT=ADDRESS:PORT")?;
    let port = whole_number(port)
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("the port `{port}` is not a number from 1 to 65535"))?;
    let target = target
        .parse()
        .map_err(|error| format!("the address `{target}`: {error}"))?;
    Ok(Forward { port, target })
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "guest") {
        return devcloud::guest::main(arguments.collect());
    }
    let Command::Serve(serve) = Arguments::parse().command;
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !no_color)
        .init();
    match run(*serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(
                error = devcloud::describe(&*error),
                "The cloud ends with an error."
            );
            ExitCode::FAILURE
        }
    }
}

fn run(serve: Serve) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        let mut config = CloudConfig::new(serve.state, serve.access_key, serve.secret_key);
        config.images = serve
            .images
            .iter()
            .map(|path| ImageConfig::read(path))
            .collect::<Result<_, Error>>()?;
        config.listen = serve.listen;
        config.session_token = serve.session_token.filter(|token| !token.is_empty());
        config.region = serve.region;
        config.profile = match serve.profile {
            Dialect::Aws => Profile::AWS,
            Dialect::Eucalyptus => Profile::EUCALYPTUS,
        };
        config.ssh_port = serve.ssh_port.unwrap_or(config.ssh_port);
        config.public_network = serve.public_network;
        config.forwards = serve.forwards;
        config.outside = serve.outside;
        config.capacity.max_instances = serve.max_instances;
        config.capacity.instances = serve.max_instances;
        config.memory_percent = serve.memory_percent;
        config.terminated_retention = Duration::from_secs(serve.retention);
        let introduction = introduce(&config);
        // Before anyone is told that the cloud is there, and could ask it to end.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let cloud = Cloud::start(config).await?;
        let endpoint = cloud.endpoint();
        let text = format!("devcloud listens at {endpoint}\n{}\n", introduction(&endpoint));
        if let Err(error) = say(&text) {
            // Whoever started this may have read what it wanted and gone.
            tracing::warn!(%error, "The endpoint could not be printed.");
        }
        let ended = tokio::select! {
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            error = cloud.failed() => Err(Box::from(error)),
        };
        cloud.shutdown().await?;
        ended
    })
}

/// What to type to use the cloud; the secret is left to the reader.
fn introduce(config: &CloudConfig) -> impl Fn(&str) -> String + use<> {
    let images: Vec<String> = config
        .images
        .iter()
        .map(|image| format!("image {} is {}", config.profile.image_id(&image.name), image.name))
        .collect();
    let image = config
        .images
        .first()
        .map(|image| config.profile.image_id(&image.name))
        .unwrap_or_default();
    let (key, region) = (config.access_key.clone(), config.region.clone());
    move |endpoint| {
        format!(
            "{}\nAWS_ACCESS_KEY_ID={key} AWS_SECRET_ACCESS_KEY=... AWS_DEFAULT_REGION={region} \
             aws --endpoint-url {endpoint} ec2 run-instances --image-id {image} --instance-type t3.micro",
            images.join("\n")
        )
    }
}

/// Writes to the standard output, which is where a program that starts this one looks.
fn say(text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::{Forward, parse_forward};

    #[test]
    fn a_forward_is_a_port_and_an_address_with_a_port() {
        for (text, port, target) in [
            ("8080=127.0.0.1:80", 8080, "127.0.0.1:80"),
            ("1=192.0.2.1:65535", 1, "192.0.2.1:65535"),
            ("65535=[::1]:80", 65535, "[::1]:80"),
        ] {
            let Forward {
                port: read,
                target: to,
            } = parse_forward(text).unwrap();
            assert_eq!((read, to.to_string().as_str()), (port, target));
        }
        for (text, reason) in [
            ("8080", "it has the form PORT=ADDRESS:PORT"),
            ("0=127.0.0.1:80", "the port `0` is not a number from 1 to 65535"),
            (
                "+80=127.0.0.1:80",
                "the port `+80` is not a number from 1 to 65535",
            ),
            (
                "080=127.0.0.1:80",
                "the port `080` is not a number from 1 to 65535",
            ),
            (
                "65536=127.0.0.1:80",
                "the port `65536` is not a number from 1 to 65535",
            ),
            ("=127.0.0.1:80", "the port `` is not a number from 1 to 65535"),
            (
                "80=127.0.0.1",
                "the address `127.0.0.1`: invalid socket address syntax",
            ),
            (
                "80=localhost:80",
                "the address `localhost:80`: invalid socket address syntax",
            ),
            (
                "80=127.0.0.1:80=9",
                "the address `127.0.0.1:80=9`: invalid socket address syntax",
            ),
        ] {
            assert_eq!(parse_forward(text).map(drop), Err(reason.to_owned()), "{text}");
        }
    }
}
