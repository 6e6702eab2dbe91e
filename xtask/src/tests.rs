use clap::CommandFactory as _;

use super::*;

/// The command that a line asks for, as the debugger shows it; the first line of what is wrong with it otherwise.
fn asked(line: &str) -> Result<String, String> {
    let words = ["cargo xtask"].into_iter().chain(line.split_whitespace());
    match Arguments::try_parse_from(words) {
        Ok(arguments) => Ok(format!("{:?}", arguments.command)),
        Err(error) => Err(error.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}

#[test]
fn each_line_is_the_command_that_its_words_say() {
    for (line, command) in [
        ("setup", "Setup { no_install: false }"),
        ("setup --no-install", "Setup { no_install: true }"),
        ("tidy --bless", "Tidy { bless: true }"),
        ("test", "Test { no_install: false, long: false, arguments: [] }"),
        (
            "test --no-install a b",
            "Test { no_install: true, long: false, arguments: [\"a\", \"b\"] }",
        ),
        // What follows a name is the runner's.
        (
            "test a --no-install",
            "Test { no_install: false, long: false, arguments: [\"a\", \"--no-install\"] }",
        ),
        (
            "test -E all()",
            "Test { no_install: false, long: false, arguments: [\"-E\", \"all()\"] }",
        ),
        (
            "test --long",
            "Test { no_install: false, long: true, arguments: [] }",
        ),
        ("demo --once", "Demo { once: true, no_install: false }"),
        (
            "bench pipeline",
            "Bench(Pipeline(Pipeline { runs: 5, cases: [], no_install: false }))",
        ),
        (
            "bench pipeline --runs 100 --no-install",
            "Bench(Pipeline(Pipeline { runs: 100, cases: [], no_install: true }))",
        ),
        (
            "bench api --rounds 1 --builds 1000",
            "Bench(Api(Wanted { projects: 1000, builds: 1000, rounds: 1, \
             beside: Beside { older: \"f726b6b\", alone: false }, no_install: false }))",
        ),
        (
            "bench plan --older abc",
            "Bench(Plan(Plan { ended: 1000000, rounds: 7, beside: Beside { older: \"abc\", alone: false }, \
             no_install: false }))",
        ),
        (
            "bench fleet --builders 100 --resalloc ../resalloc",
            "Bench(Fleet(Fleet { builders: 100, waiting: 100000, rounds: 100, handed: 1000, \
             ended: 1000000, resalloc: Some(\"../resalloc\"), no_install: false }))",
        ),
        ("sim", "Sim { arguments: [] }"),
        // All of it is the simulator's.
        (
            "sim --seed 7 --trace --help",
            "Sim { arguments: [\"--seed\", \"7\", \"--trace\", \"--help\"] }",
        ),
        ("ci", "Ci"),
    ] {
        assert_eq!(asked(line).as_deref(), Ok(command), "{line}");
    }
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_begun() {
    for (line, words) in [
        ("", "own automation"),
        ("deploy", "unrecognized subcommand 'deploy'"),
        ("tidy all", "unexpected argument 'all'"),
        (
            "bench pipeline --runs 0",
            "invalid value '0' for '--runs <RUNS>': 0 is not in 1..=100",
        ),
        ("bench api --builds 999", "999 is not in 1000.."),
        ("bench api --rounds 21", "21 is not in 1..=20"),
        ("bench plan --rounds many", "invalid value 'many'"),
        ("bench fleet --builders 99", "99 is not in 100..=20000"),
        ("bench plan --alone --older abc", "cannot be used with"),
        ("bench api --older abc --alone", "cannot be used with"),
    ] {
        let told = asked(line).expect_err(line);
        assert!(told.contains(words), "{line}: {told}");
    }
}

#[test]
fn every_command_that_a_page_names_is_one() {
    let root = workspace::root().unwrap();
    let mut count = 0;
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "docs/processes.md",
        "docs/devcloud.md",
        "docs/operating.md",
    ] {
        let text = fs_err::read_to_string(root.join(page)).unwrap();
        for rest in text.split("cargo xtask ").skip(1) {
            let line = rest.split(|c: char| "`\n#&".contains(c)).next().unwrap();
            asked(line).unwrap_or_else(|told| panic!("{page}: cargo xtask {line}: {told}"));
            count += 1;
        }
    }
    assert!(count > 10, "only {count} were found");
}

#[test]
fn every_command_and_option_says_what_it_does() {
    fn look(command: &clap::Command) {
        assert!(command.get_about().is_some(), "{}", command.get_name());
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{} {}",
                command.get_name(),
                argument.get_id()
            );
        }
        command.get_subcommands().for_each(look);
    }
    let command = Arguments::command();
    command.clone().debug_assert();
    look(&command);
}
