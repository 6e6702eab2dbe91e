//! The simulator, which is a program of its own: it is built in release, and without what talks to clouds, databases and machines.

use anyhow::{Context as _, Result, bail};

use crate::{process::Tool, workspace};

/// What asks for the simulation of the real controller and store, in the place of thin copies of them.
const REAL: &str = "--real";

/// Builds the simulator and runs it with these arguments. What it says is its own; that a rule is broken is its failure.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let is_real = arguments.iter().any(|argument| argument == REAL);
    let (tool, program) = build(is_real)?;
    workspace::compile(tool).context("the simulator does not compile")?;
    let program = workspace::read()?.target_directory.join(program);
    let passed = arguments.iter().filter(|argument| *argument != REAL);
    let status = Tool::new(program).args(passed).status()?;
    if !status.success() {
        bail!("the simulation ended with {status}");
    }
    Ok(())
}

/// What builds it, and where it is then below the directory of what is built. The one with copies is only its own package: the EC2 SDK
/// is none of what it needs.
fn build(is_real: bool) -> Result<(Tool, &'static str)> {
    let cargo = workspace::cargo()?.args(["build", "--release"]);
    Ok(if is_real {
        // With the features of the whole workspace, as the benchmarks are built: what it depends on is compiled once for all.
        let features = ["--workspace", "--features", "store/testing"];
        let program = "release/examples/storm";
        (cargo.args(features).args(["--example", "storm"]), program)
    } else {
        (cargo.args(["--package", "sim"]), "release/sim")
    })
}

#[cfg(test)]
mod tests {
    use super::build;
    use crate::workspace;

    #[test]
    fn the_simulator_is_built_in_release_and_needs_nothing_but_the_model_of_ours() {
        let (tool, program) = build(false).unwrap();
        assert!(
            tool.shown().ends_with("build --release --package sim"),
            "{}",
            tool.shown()
        );
        assert_eq!(program, "release/sim");
        let packages = workspace::read().unwrap().packages;
        let own = |name: &str| -> Vec<String> {
            let package = packages.iter().find(|it| it.name == name).unwrap();
            let dependencies = package.dependencies.iter().filter(|it| it.path.is_some());
            dependencies.map(|it| it.name.clone()).collect()
        };
        assert_eq!(own("sim"), ["model"]);
        assert!(own("model").is_empty());
    }

    #[test]
    fn the_real_controller_is_simulated_by_an_example_of_its_package_which_is_there() {
        let (tool, program) = build(true).unwrap();
        let shown = tool.shown();
        assert!(
            shown.ends_with("build --release --workspace --features store/testing --example storm"),
            "{shown}"
        );
        assert_eq!(program, "release/examples/storm");
        let packages = workspace::read().unwrap().packages;
        let controller = packages.iter().find(|it| it.name == "controller").unwrap();
        let folder = controller.manifest_path.parent().unwrap();
        assert!(folder.join("examples/storm/main.rs").exists());
    }
}
