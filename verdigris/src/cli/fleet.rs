//! The command line of `verdigris fleet`.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use model::quantity::Span;

use crate::{
    complain,
    fleet::{self, AskCommand, BAD_CONFIG, CostArguments, InitArguments},
    options::Config,
    parts::BadConfig,
    say,
};

#[derive(Debug, Subcommand)]
pub(super) enum FleetCommand {
    /// Show the pools, the builders and how many attempts wait.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Show it again and again; Ctrl-C ends it. With --json, one document a line.
        #[arg(long)]
        watch: bool,
        /// With --watch: how often, from 100ms to 1h.
        #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = fleet::interval)]
        interval: Span,
        #[command(flatten)]
        config: Config,
    },
    /// Show what the controller would do next, and why; nothing is done.
    ///
    /// Ends with 5 when a fleet file is bad.
    Plan {
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Show what would change if this file were the fleet file: its keys, the builders that would be outdated, and what the
        /// next round would do besides and no more.
        #[arg(long, value_name = "NEWFILE")]
        diff: Option<PathBuf>,
        #[command(flatten)]
        config: Config,
    },
    /// Show why a builder is as it is, or why a build waits, and for what.
    Why {
        /// A builder (bdr_..., or its instance, i-...), or the number of a build.
        #[arg(value_name = "BUILDER|BUILD")]
        what: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: Config,
    },
    /// Show what machines cost in each hour of the last day, or of another time, pool by pool.
    Cost(CostArguments),
    /// Let a pool that is held back after failed launches launch again as it needs.
    Resume {
        /// The pool, by its name in the fleet file.
        pool: String,
        #[command(flatten)]
        config: Config,
    },
    #[command(flatten)]
    Ask(AskCommand),
    /// Write a first fleet file, with all that may be written in it, and a new id.
    Init(InitArguments),
    /// Print the JSON Schema of fleet files, for editors.
    Schema,
    /// Print the public key with which the farm logs in to builders: a line for `authorized_keys` of fixed hosts. It is made if
    /// there is none yet.
    Key {
        #[command(flatten)]
        config: Config,
    },
}

impl FleetCommand {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.obey().await {
            Err(error) if BadConfig::is_cause_of(&error) => {
                complain(&format!("{error:#}"));
                Ok(ExitCode::from(BAD_CONFIG))
            }
            ended => ended,
        }
    }

    async fn obey(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Status {
                json,
                watch: true,
                interval,
                config,
            } => fleet::watch(&config, json, interval).await?,
            Self::Status { json, config, .. } => say(&fleet::status(&config, json).await?),
            Self::Plan {
                json,
                diff: Some(file),
                config,
            } => fleet::diff(&config, &file, json).await?,
            Self::Plan { json, config, .. } => fleet::plan(&config, json).await?,
            Self::Why { what, json, config } => fleet::why(&config, &what, json).await?,
            Self::Cost(arguments) => fleet::cost(&arguments).await?,
            Self::Resume { pool, config } => fleet::resume(&config, &pool).await?,
            Self::Ask(command) => return Ok(Box::pin(fleet::ask(&command)).await),
            Self::Init(arguments) => fleet::init(&arguments)?,
            Self::Key { config } => fleet::key(&config)?,
            Self::Schema => say(&serde_json::to_string_pretty(&model::fleet::schema())?),
        }
        Ok(ExitCode::SUCCESS)
    }
}
