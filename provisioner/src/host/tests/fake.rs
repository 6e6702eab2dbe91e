//! A machine that gives prepared answers and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use shell::{Command, Endpoint, Exit, Output, RunOptions};

use crate::host::Remote;
use crate::words;

type Answer = Result<Output, shell::Error>;

/// Gives its answers one after the other; a question too many fails the test.
pub(crate) struct Fake {
    endpoint: Endpoint,
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<(String, Duration)>>,
}

impl Fake {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            endpoint: Endpoint::new("192.0.2.1", 22, "root"),
            answers: Mutex::new(answers.into_iter().collect()),
            asked: Mutex::default(),
        }
    }

    /// The same with another user than root.
    pub(crate) fn of_user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.endpoint.user);
        self
    }

    /// What it was asked: the words, `[label]` for one of our scripts, and the input behind `<`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().expect("the questions");
        asked.iter().map(|(text, _)| text.clone()).collect()
    }

    /// How long each command was given.
    pub(crate) fn limits(&self) -> Vec<Duration> {
        let asked = self.asked.lock().expect("the questions");
        asked.iter().map(|(_, limit)| *limit).collect()
    }
}

/// An answer: status, standard output, standard error.
pub(crate) fn output(status: u32, stdout: &str, stderr: &str) -> Answer {
    Ok(Output {
        exit: Exit::Code(status),
        stdout: stdout.into(),
        stderr: stderr.into(),
        truncated: false,
    })
}

/// An answer without an exit status.
pub(crate) fn lost(stdout: &str) -> Answer {
    Ok(Output {
        exit: Exit::Lost,
        stdout: stdout.into(),
        stderr: Vec::new(),
        truncated: false,
    })
}

fn shown(command: &Command, text: &str, input: &[u8]) -> String {
    let words = words::split(text).expect("words");
    let mut words = words.get(1..).expect("a program").to_vec();
    if let Some(at) = words.windows(2).position(|pair| pair == ["sh", "-c"]) {
        words.splice(at..at + 4, [format!("[{}]", command.label())]);
    }
    let mut shown: Vec<String> = words
        .into_iter()
        .map(|word| match word.is_empty() || word.contains(' ') {
            true => format!("'{word}'"),
            false => word,
        })
        .collect();
    if !input.is_empty() {
        shown.push(format!("<{}", String::from_utf8_lossy(input)));
    }
    shown.join(" ")
}

#[async_trait]
impl Remote for Fake {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn run(&self, command: &Command, input: Vec<u8>, options: RunOptions) -> Answer {
        let text = command.to_shell_text()?;
        let asked = (shown(command, &text, &input), options.deadline);
        self.asked.lock().expect("the questions").push(asked.clone());
        let answer = self.answers.lock().expect("the answers").pop_front();
        answer.unwrap_or_else(|| panic!("no answer is left for {}", asked.0))
    }
}
