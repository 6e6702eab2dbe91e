use super::*;

mod constants;

fn mistakes(text: &str) -> String {
    let found = Playbook::parse("p.yml", text).expect_err("mistakes");
    found.iter().map(|mistake| format!("{mistake}\n")).collect()
}

fn play(tasks: &str) -> String {
    let tasks: String = tasks.lines().map(|line| format!("    {line}\n")).collect();
    format!("- name: P\n  hosts: all\n  gather_facts: false\n  tasks:\n{tasks}")
}

#[test]
fn a_whole_task_is_understood() {
    let text = play(
        "- name: T\n  ansible.builtin.copy:\n    content: \"{{ x }}\"\n    dest: /a\n    mode: \"0644\"\n  when:\n    \
         - a is defined\n    - true\n  loop: [1, 2]\n  register: r\n  until: r.rc == 0\n  retries: 2\n  delay: 0\n  \
         tags: [t]\n  no_log: true\n  vars: { y: 1 }\n- command: ls -l '/a b'\n",
    );
    let playbook = Playbook::parse("p.yml", &text).expect("a playbook");
    let [copy, command] = playbook.plays[0].tasks.as_slice() else {
        panic!("{playbook:?}")
    };
    assert_eq!(
        (copy.name.as_str(), copy.line, copy.module.name),
        ("T", 5, "copy")
    );
    assert_eq!(copy.when, ["a is defined", "true"]);
    assert_eq!((copy.retries, copy.delay, copy.no_log), (Some(2), 0, true));
    assert_eq!((command.name.as_str(), command.line), ("command", 21));
    assert_eq!(command.arguments["cmd"].as_text(), Some("ls -l '/a b'"));
}

#[test]
fn misspelt_words_are_found_with_line_column_and_suggestion() {
    let text = play(
        "- name: T\n  copi:\n    dest: /a\n- name: U\n  copy:\n    dets: /a\n  whn: x\n- name: V\n  debug:\n    msg: x\n  wehn: y\n",
    );
    insta::assert_snapshot!(mistakes(&text), @r#"
    p.yml:6:7: there is no module "copi"; did you mean "copy"? (supported: apt, assert, authorized_key, command, copy, debug, dnf, fail, file, group, lineinfile, package, set_fact, shell, stat, user, wait_for)
    p.yml:10:9: copy has no parameter "dets"; did you mean "dest"? (supported: src, content, dest, mode, owner, group, force, directory_mode)
    p.yml:9:7: copy needs the parameter "dest"
    p.yml:11:7: a task has no keyword "whn"; did you mean "when"? (supported: name, when, register, loop, loop_control, vars, tags, changed_when, failed_when, ignore_errors, no_log, until, retries, delay, become, check_mode, timeout, environment)
    p.yml:15:7: a task has no keyword "wehn"; did you mean "when"? (supported: name, when, register, loop, loop_control, vars, tags, changed_when, failed_when, ignore_errors, no_log, until, retries, delay, become, check_mode, timeout, environment)
    "#);
}

#[test]
fn all_kinds_of_mistakes_are_reported_at_once() {
    let text = "- hosts: all\n  roles: [x]\n  tasks:\n    - name: nothing\n    - copy: { dest: /a, mode: 0644, content: \"{{ a b }}\" }\n      \
                when: \"{{ x }}\"\n      retries: many\n      ignore_errors: yes\n    - command: a\n      shell: b\n    - user: { uid: 1 }\n    \
                - lineinfile: { path: /a, regexp: '\\d+', state: absent }\n    - command: { chdir: /a }\n      register: not-a-name\n";
    insta::assert_snapshot!(mistakes(text), @r#"
    p.yml:2:3: a play has no keyword "roles" (supported: name, hosts, become, gather_facts, vars, tasks)
    p.yml:4:7: the task has no module (supported: apt, assert, authorized_key, command, copy, debug, dnf, fail, file, group, lineinfile, package, set_fact, shell, stat, user, wait_for)
    p.yml:5:31: write the mode in quotes, as in "0644": bare numbers are read differently by others
    p.yml:5:47: `{{ a b }}`: expected `}}`, or an operator such as `|`, `==` or `~`, found a name
    p.yml:6:13: when is an expression already: leave the braces out
    p.yml:7:16: retries is a whole number from 0 to 1000
    p.yml:8:22: ignore_errors is true or false, not text
    p.yml:10:7: a task has one module, but "command" and "shell" are two
    p.yml:11:7: user needs the parameter "name"
    p.yml:12:39: regexp "\\d+": a backslash before a letter or digit is not supported; use what POSIX and Python share, such as [0-9]
    p.yml:13:7: command needs either cmd or argv
    p.yml:14:17: "not-a-name" is not the name of a variable
    p.yml:1:3: the play needs `gather_facts: false`: facts are not gathered here
    "#);
}

#[test]
fn what_is_no_playbook_is_refused() {
    insta::assert_snapshot!(mistakes("hosts: all\n"), @r#"
    p.yml:1:1: a playbook is a list of plays, not a mapping
    "#);
    insta::assert_snapshot!(mistakes("- hosts: [a\n"), @r#"
    p.yml:1:10: a list in `[ ]` or a map in `{ }` is not closed, or lacks a comma
    "#);
    insta::assert_snapshot!(mistakes("- a\n"), @r#"
    p.yml:1:3: a play is a mapping, not text
    p.yml:1:3: the play has no hosts
    p.yml:1:3: the play needs `gather_facts: false`: facts are not gathered here
    "#);
}

#[test]
fn what_ansible_would_understand_in_another_way_is_refused() {
    let cases = [
        (
            "- command: touch /a creates=/b",
            "p.yml:5:16: Ansible takes \"creates=/b\" for a parameter",
        ),
        (
            "- shell: make chdir=/srv",
            "Ansible takes \"chdir=/srv\" for a parameter",
        ),
        (
            "- debug: { msg: x }\n  tags: [a, never]",
            "the tag never is not supported",
        ),
        (
            "- debug: { msg: x }\n  tags: a, never",
            "the tag never is not supported",
        ),
        (
            "- debug: { msg: x }\n  loop: [1]\n  loop_control: { loop_var: y }",
            "loop_control has no \"loop_var\" here (supported: label)",
        ),
        (
            "- debug: { msg: x, verbosity: 1 }",
            "debug has no parameter \"verbosity\"",
        ),
        (
            "- set_fact: { x: 1, cacheable: true }",
            "set_fact cannot keep facts for later runs",
        ),
        (
            "- debug: { msg: x }\n  when: [[a, b]]",
            "when is a list of expressions, not of lists",
        ),
        (
            "- debug: { msg: x }\n  when: 1",
            "when is an expression, not a number",
        ),
        ("- debug: { msg: x }\n  when: \"\"", "expected a value"),
        (
            "- debug: { msg: x }\n  when: a is match('b')",
            "there is no test \"match\"",
        ),
        (
            "- debug: { msg: \"{{ x | nofilter }}\" }",
            "p.yml:5:22: `{{ x | nofilter }}`: there is no filter \"nofilter\"",
        ),
        (
            "- debug: { msg: x }\n  loop: \"{{ query('x') }}\"",
            "the function query is not supported",
        ),
        (
            "- debug: { msg: x }\n  retries: -1",
            "retries is a whole number from 0 to 1000",
        ),
        (
            "- lineinfile: { path: /a, line: x, regexp: \"{{ x | nofilter }}\" }",
            "there is no filter",
        ),
        (
            "- lineinfile: { path: /a, line: x, regexp: \"\" }",
            "regexp is empty, which every line matches",
        ),
    ];
    for (tasks, expected) in cases {
        let text = mistakes(&play(tasks));
        assert!(text.contains(expected), "{tasks}\n{text}");
    }
    let fine = "- command: { cmd: touch a, creates: /b }\n  loop: [1]\n  loop_control: { label: x }\n  tags: [a]\n- shell: A=chdir make\n";
    assert!(Playbook::parse("p.yml", &play(fine)).is_ok());
}

#[test]
fn tries_follow_until_and_retries() {
    let cases = [
        ("", 1),
        ("  retries: 2\n", 3),
        ("  until: true\n", 4),
        ("  until: true\n  retries: 0\n", 1),
        ("  until: true\n  retries: 1\n", 2),
    ];
    for (keywords, tries) in cases {
        let text = play(&format!("- debug: {{ msg: x }}\n{keywords}"));
        let playbook = Playbook::parse("p.yml", &text).expect("a playbook");
        assert_eq!(playbook.plays[0].tasks[0].tries(), tries, "{keywords}");
    }
}

/// What is wrong with one task, which begins in the fifth line and the fifth column.
fn wrong(task: &str) -> Vec<String> {
    let found = Playbook::parse("p.yml", &play(task)).expect_err(task);
    let shown = found
        .iter()
        .map(|one| format!("{}:{}: {}", one.line, one.column, one.message));
    shown
        .map(|text| text.split(" (supported").next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn every_keyword_says_what_it_takes() {
    let cases = [
        ("name: [a]", "6:13: name is text, not a list"),
        ("name: 5", "6:13: name is text, not a number"),
        ("when: { a: 1 }", "6:13: when is an expression, not a mapping"),
        ("when: [null, 1]", "6:20: when is an expression, not a number"),
        (
            "changed_when:",
            "6:19: changed_when is an expression, not nothing",
        ),
        (
            "failed_when: [null]",
            "6:21: failed_when is an expression, not nothing",
        ),
        (
            "when: \"a and\"",
            "6:13: `a and`: expected a value, found the end",
        ),
        ("register: 5", "6:17: register is text, not a number"),
        ("register: a.b", "6:17: \"a.b\" is not the name of a variable"),
        ("until: [5]", "6:15: until is an expression, not a number"),
        (
            "changed_when: \"{{ a }}\"",
            "6:21: changed_when is an expression already: leave the braces out",
        ),
        (
            "failed_when: [\"a | nofilter\"]",
            "6:21: `a | nofilter`: there is no filter \"nofilter\"",
        ),
        ("retries: 1001", "6:16: retries is a whole number from 0 to 1000"),
        ("delay: 601", "6:14: delay is a whole number from 0 to 600"),
        ("delay: 0.5", "6:14: delay is a whole number from 0 to 600"),
        (
            "timeout: 86401",
            "6:16: timeout is a whole number from 0 to 86400",
        ),
        (
            "ignore_errors: 1",
            "6:22: ignore_errors is true or false, not a number",
        ),
        ("no_log: yes", "6:15: no_log is true or false, not text"),
        ("become: \"true\"", "6:15: become is true or false, not text"),
        ("check_mode: []", "6:19: check_mode is true or false, not a list"),
        ("vars: [a]", "6:13: vars is a mapping, not a list"),
        ("vars: { a-b: 1 }", "6:15: \"a-b\" is not the name of a variable"),
        (
            "vars: { a: [\"{{ b c }}\"] }",
            "6:20: `{{ b c }}`: expected `}}`, or an operator such as `|`, `==` or `~`, found a name",
        ),
        ("environment: a", "6:20: environment is a mapping, not text"),
        ("loop: [\"{{ }}\"]", "6:15: `{{ }}`: expected a value, found `}}`"),
        ("loop_control: x", "6:21: loop_control is a mapping, not text"),
        ("notify: x", "6:7: a task has no keyword \"notify\""),
        ("delegate_to: x", "6:7: a task has no keyword \"delegate_to\""),
        ("with_items: [1]", "6:7: a task has no keyword \"with_items\""),
    ];
    for (keyword, expected) in cases {
        let got = wrong(&format!("- debug: {{}}\n  {keyword}"));
        assert_eq!(got, [expected], "{keyword}");
    }
}

#[test]
fn a_mistake_in_a_template_is_told_where_it_stands() {
    for (task, expected) in [
        ("- debug: { msg: \"ä {{ a }} and {{ b c }}\" }", "5:36: "),
        (
            "- debug:\n    msg: |\n      first {{ a }}\n      second {{ b c }}\n",
            "8:18: ",
        ),
        // What is folded, has escapes or is in a statement is told where the text begins.
        ("- shell: >-\n    ls {{ a }}\n    {{ b\n    c }}\n", "6:9: "),
        ("- debug: { msg: \"{{ \\x61 b }}\" }", "5:21: "),
        ("- debug: { msg: \"x {% if %}\" }", "5:21: "),
    ] {
        let found = wrong(task);
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "{task}: {found:?}"
        );
    }
}

#[test]
fn every_module_says_what_it_takes() {
    let cases = [
        ("- copy: [a]", "what copy takes is a mapping, not a list"),
        ("- copy: a", "what copy takes is a mapping, not text"),
        ("- command:", "command needs either cmd or argv"),
        (
            "- command: { cmd: a, argv: [b] }",
            "command needs either cmd or argv",
        ),
        ("- shell: { argv: [a] }", "shell has no parameter \"argv\""),
        ("- file: { state: touch }", "file needs the parameter \"path\""),
        (
            "- stat: { path: /a, path: /b }",
            "the key `path` stands twice here",
        ),
        ("- set_fact: { a-b: 1 }", "\"a-b\" is not the name of a variable"),
        (
            "- file: { path: /a, mode: u+x }",
            "\"u+x\" is not an octal mode such as \"0644\"",
        ),
        (
            "- file: { path: /a, mode: preserve }",
            "\"preserve\" is not an octal mode such as \"0644\"",
        ),
        (
            "- copy: { src: /a/, dest: /b, directory_mode: preserve }",
            "\"preserve\" is not an octal mode such as \"0644\"",
        ),
        (
            "- debug: { var: \"a b\" }",
            "`a b`: something is left over behind the expression; is an operator missing, such as `==`, `and` or `~`?",
        ),
        ("- assert: { that: 5 }", "that is an expression, not a number"),
        (
            "- ansible.builtin.copi: {}",
            "there is no module \"ansible.builtin.copi\"; did you mean \"copy\"?",
        ),
        (
            "- community.general.ufw: {}",
            "there is no module \"community.general.ufw\"",
        ),
        (
            "- nam: x\n  when: true",
            "there is no module \"nam\"; did you mean \"name\"?",
        ),
        ("- {}", "the task has no module"),
        ("-", "the task has no module"),
        ("- name: only", "the task has no module"),
        ("- text", "a task is a mapping, not text"),
    ];
    for (task, expected) in cases {
        let got = wrong(task);
        assert_eq!(got.len(), 1, "{task}: {got:?}");
        assert!(
            got[0].starts_with("5:") && got[0].ends_with(expected),
            "{task}: {got:?}"
        );
    }
}

#[test]
fn a_bare_value_that_ansible_reads_otherwise_is_a_mistake_among_the_others() {
    let text = play(
        "- user: { name: a, uid: 010 }\n- file: { path: /a, mode: 0644 }\n- debug: { msg: 12:30 }\n- debug: { msg: \"010\" }",
    );
    insta::assert_snapshot!(mistakes(&text), @r#"
    p.yml:6:31: write the mode in quotes, as in "0644": bare numbers are read differently by others
    p.yml:5:29: Ansible takes the bare 010 for another value: write it in quotes, or as a plain number
    p.yml:7:21: Ansible takes the bare 12:30 for another value: write it in quotes, or as a plain number
    "#);
}

#[test]
fn a_play_with_a_wrong_name_is_read_on() {
    insta::assert_snapshot!(mistakes("- name: 5\n  hosts: [all]\n  become: yes\n  gather_facts: true\n  vars: 1\n  tasks: {}\n-\n"), @r#"
    p.yml:1:9: name is text, not a number
    p.yml:2:10: hosts is text, not a list
    p.yml:3:11: become is true or false, not text
    p.yml:5:9: vars is a mapping, not a number
    p.yml:6:10: tasks is a list, not a mapping
    p.yml:1:3: the play has no hosts
    p.yml:1:3: the play needs `gather_facts: false`: facts are not gathered here
    p.yml:7:2: the play has no hosts
    p.yml:7:2: the play needs `gather_facts: false`: facts are not gathered here
    "#);
    for text in ["", "[]", "# nothing\n", "text"] {
        assert!(mistakes(text).contains("a playbook is a list of plays"), "{text}");
    }
}

#[test]
fn whether_staged_files_are_needed_is_seen_in_the_text() {
    let of = |task: &str| {
        Playbook::parse("p.yml", &play(task))
            .expect("a playbook")
            .uses_staged
    };
    assert!(of("- copy: { src: \"{{ staged }}/a\", dest: /a }"));
    assert!(!of("- copy: { src: /a, dest: /a }"));
}
