//! The simulator, which is a program of its own: it is built in release, and without what talks to clouds, databases and machines.

use anyhow::{Context as _, Result, bail};

use crate::{process::Tool, workspace};

/// Builds the simulator and runs it with these arguments. What it says is its own; that a rule is broken is its failure.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    workspace::compile(build()?).context("the simulator does not compile")?;
    let program = workspace::read()?.target_directory.join("release/sim");
    let status = Tool::new(program).args(arguments).status()?;
    if !status.success() {
        bail!("the simulation ended with {status}");
    }
    Ok(())
}

/// Only its own package: the EC2 SDK is none of what it needs.
fn build() -> Result<Tool> {
    Ok(workspace::cargo()?.args(["build", "--release", "--package", "sim"]))
}

#[cfg(test)]
mod tests {
    use super::build;
    use crate::workspace;

    #[test]
    fn the_simulator_is_built_in_release_and_needs_nothing_but_the_model_of_ours() {
        let shown = build().unwrap().shown();
        assert!(shown.ends_with("build --release --package sim"), "{shown}");
        let packages = workspace::read().unwrap().packages;
        let own = |name: &str| -> Vec<String> {
            let package = packages.iter().find(|it| it.name == name).unwrap();
            let dependencies = package.dependencies.iter().filter(|it| it.path.is_some());
            dependencies.map(|it| it.name.clone()).collect()
        };
        assert_eq!(own("sim"), ["model"]);
        assert!(own("model").is_empty());
    }
}
