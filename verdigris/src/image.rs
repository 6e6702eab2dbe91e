//! `verdigris image`: images of machines that are builders already, so that others need not be made builders one by one.

mod bake;
mod machine;
mod make;
mod older;
mod shown;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use model::quantity::Span;

use crate::options::Config;

/// The longest `--timeout`.
const LONGEST: Span = Span::seconds(86_400);

const HELP: &str = "\
What it does:
  A builder of the pool is launched, by the pool's own rules, and gets no builds. When it is ready it is held, the playbook
  image.yml removes from it what no two machines may share, and the cloud makes an image of it, which is tagged with a digest of
  all that made the builder. Then the machine is ended; if this command is killed, the controller ends it when the hold is over.
  Without a controller this command does its work, and the next one that leads ends what a killed one left.

On machines from the image the tasks with the tag `boot` are played, and no others, for as long as playbooks, provision-files,
variables and chroots are the same.

Exit status:
  0  the image is there, or was already
  1  there is no image, for a reason that is told
  5  settings, fleet file or arguments cannot be used";

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Make an image of a builder, from which a pool's machines are builders sooner.
    #[command(after_help = HELP)]
    Bake(BakeArguments),
}

/// What `image bake` is told.
#[derive(Debug, Args)]
pub(crate) struct BakeArguments {
    /// The pool, by its name in the fleet file.
    pub(super) pool: String,
    /// Make one also where the pool's image was made by the same playbook.
    #[arg(long)]
    pub(super) again: bool,
    /// Delete the images that were baked for this pool before, but for those that the fleet file names, that one of its `select`
    /// chooses or waits for until they are old enough, or that builders came from. On Amazon's the snapshots of their disks stay.
    #[arg(long)]
    pub(super) delete_older: bool,
    /// How long all of it may take, at most a day.
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = timeout)]
    pub(super) timeout: Span,
    /// One JSON document instead of lines.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: Config,
}

impl ImageCommand {
    /// Does what was asked.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Bake(arguments) => Box::pin(bake::bake(&arguments)).await,
        }
    }
}

fn timeout(text: &str) -> Result<Span, String> {
    let span: Span = text
        .parse()
        .map_err(|error: model::quantity::InvalidQuantity| error.to_string())?;
    if span <= LONGEST && span >= Span::seconds(1) {
        Ok(span)
    } else {
        Err(format!("{span} is not from 1s to {LONGEST}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{ImageCommand, timeout};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        _command: ImageCommand,
    }

    #[test]
    fn an_image_is_of_one_pool_and_takes_a_second_at_least_and_a_day_at_most() {
        for (line, is_good) in [
            ("bake x86", true),
            ("bake x86 --again --delete-older --json --timeout 2h", true),
            ("bake", false),
            ("bake x86 arm", false),
            ("bake x86 --timeout 30", false),
        ] {
            let words = std::iter::once("image").chain(line.split(' '));
            assert_eq!(Line::try_parse_from(words).is_ok(), is_good, "{line}");
        }
        for (text, is_good) in [
            ("1s", true),
            ("0s", false),
            ("1d", true),
            ("25h", false),
            ("x", false),
        ] {
            assert_eq!(timeout(text).is_ok(), is_good, "{text}");
        }
    }
}
