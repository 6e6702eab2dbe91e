use super::*;

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICDNVBxjmQX78BrfIgqbj0FE9SsUS0dPRjVCilne3tVV";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
const ECDSA: &str = "ecdsa-sha2-nistp256 \
    AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHOlrtFa90hxKTNYCh02Eq2TiiXcWRHyaPHSwuRFiiqI6Wli/kSLj78+RtnIBbWCLPZSSI1Ut9m2z8t9ijdtfoE=";
const RSA: &str = "ssh-rsa \
    AAAAB3NzaC1yc2EAAAADAQABAAABgQC7Z/tBKaeH++E3B5HFobeAbfa2LcGjB9UdXX1HwJmDLOWHeXU8oTCJM19uguaHglUwHhmI1kvXToM8PmPlBrgD2sr+ctGCRpK3jpF13jZHVJTC0FBqchittEec+1UJuPfC9dFU2f9PwJTyXHlfu/4ePfT9ODlSJTgoetOYZyiF5LY6vKo5K7BexScB22UqFjVpAkzKWlKTago1KigQjoixCm6pqrdT2YER1f3tSA7YKvK33wcqTgkXfkOh2QxZh8Suu+JUPTgOKN51SwOOUvJQyAxRFJiJN8hTDPJHfbI/DnRFeE8LRXWzVMzXGb+p55FeiuBPMtpTbL56icsC9aJLtWMRWfa9Cmt/Jb8B0TC2Ff36scb4aNGhnORaYif+LY7h/GZm6h5kt9cAPMmb5oV97DFXtqSbfD15J029rir+ks/va6+f/e33GbfE+8lb4HTVQIDpX2oudRBOEccVgoOaErm3oMBSZD9ITxjpuZgxSwA5NYAmE0/ZqQsfoMA9uM8=";

/// A block with these keys, as cloud-init prints it.
fn block(keys: &[&str]) -> String {
    let lines: String = keys
        .iter()
        .map(|key| format!("{key} root@ip-10-0-0-7\n"))
        .collect();
    format!("{BEGIN}\n{lines}{END}\n")
}

/// A console from its first line on.
fn booted(block: &str) -> String {
    format!(
        "[    0.000000] Linux version 6.1\r\nci-info: | Keytype | Fingerprint |\r\nci-info: | ssh-ed25519 | SHA256:x |\r\n\
         <14>Nov 30 12:00:00 cloud-init: -----BEGIN SSH HOST KEY FINGERPRINTS-----\r\n256 SHA256:y root@ip (ED25519)\r\n\
         <14>Nov 30 12:00:00 cloud-init: -----END SSH HOST KEY FINGERPRINTS-----\r\n{block}\
         [   21.250000] cloud-init[871]: Cloud-init finished\r\nip-10-0-0-7 login: "
    )
}

fn found(console: &str) -> Result<String, Lack> {
    host_key(console).map(|key| key.to_string())
}

#[test]
fn the_preferred_key_of_a_block_is_found_whatever_stands_around_it() {
    let all = block(&[ECDSA, ED25519, RSA]);
    let prefixed = all.replace("ssh-", "[   20.1] cloud-init[871]: ssh-");
    let with_returns = all.replace('\n', "\r\n");
    let coloured = all.replace("ssh-ed25519", "\u{1b}[0m\u{1b}[1;32mssh-ed25519");
    let overwritten = all.replace("ssh-ed25519", "[ *** ] a job runs\rssh-ed25519");
    let interrupted = all.replace(RSA, &format!("[   20.2] random: crng init done\n{RSA}"));
    let one_line = all.replace('\n', " ");
    for (name, text, expected) in [
        ("a whole block", &all, ED25519),
        ("times before its lines", &prefixed, ED25519),
        ("returns at the ends of its lines", &with_returns, ED25519),
        ("colours", &coloured, ED25519),
        ("a line that was written over", &overwritten, ED25519),
        ("a line of the kernel's between them", &interrupted, ED25519),
        ("no ends of lines", &one_line, ECDSA),
        ("ECDSA and no ed25519", &block(&[RSA, ECDSA]), ECDSA),
        (
            "a key that was broken by another line",
            &all.replace("AAAAC3NzaC1l", "AAAAC3Nz[   20.3] usb 1-1: new device\naC1l"),
            ECDSA,
        ),
        ("two of a kind", &block(&[ED25519, OTHER]), ED25519),
    ] {
        assert_eq!(found(text).as_deref(), Ok(expected), "{name}: {text}");
        assert_eq!(found(&booted(text)).as_deref(), Ok(expected), "{name}");
    }
}

#[test]
fn the_last_whole_block_counts() {
    let (first, second) = (block(&[OTHER]), block(&[ED25519]));
    let without_end = second.replace(END, "");
    let (_, without_begin) = second.split_once("AAAA").unwrap();
    for (name, text, expected) in [
        (
            "a machine that was started again",
            format!("{first}reboot\n{second}"),
            ED25519,
        ),
        (
            "one that is just printing it again",
            format!("{first}reboot\n{without_end}"),
            OTHER,
        ),
        (
            "a console that begins in the middle of one",
            format!("{without_begin}{first}"),
            OTHER,
        ),
        (
            "a beginning that was printed twice",
            format!("{BEGIN}\n{first}"),
            OTHER,
        ),
        ("an end that was printed twice", format!("{first}{END}\n"), OTHER),
    ] {
        assert_eq!(found(&text).as_deref(), Ok(expected), "{name}: {text}");
    }
}

#[test]
fn a_console_without_a_key_is_told_what_it_lacks() {
    let whole = block(&[ECDSA, ED25519]);
    let cut_at = |mark: &str| whole.split_once(mark).unwrap().0.to_owned();
    let behind = |mark: &str| whole.split_once(mark).unwrap().1.to_owned();
    let garbage: String = (0..65_536_u32)
        .map(|n| char::from_u32(n * 7919 % 0xd7ff).unwrap_or('x'))
        .collect();
    let kinds = |kinds: &[&str]| Lack::NoKey(kinds.iter().copied().map(str::to_owned).collect());
    for (name, text, expected) in [
        ("nothing", String::new(), Lack::Empty),
        ("no text", "\r\n \u{1b}[0m\u{0}\n".to_owned(), Lack::Empty),
        (
            "a kernel that still boots",
            "[    0.000000] Linux version 6.1\r\n".to_owned(),
            Lack::NoBlock,
        ),
        ("fingerprints alone", booted(""), Lack::NoBlock),
        (
            "the whole kind and key, and no block",
            format!("{ED25519}\n"),
            Lack::NoBlock,
        ),
        ("a cut mark", "-----BEGIN SSH HOST KE".to_owned(), Lack::NoBlock),
        ("a cut line", cut_at("5AAAAIC"), Lack::Cut),
        (
            "a cut end",
            cut_at("KEYS-----\n").clone() + "KEYS-----\n",
            Lack::Cut,
        ),
        ("no end", cut_at(END), Lack::Cut),
        ("no beginning", behind(BEGIN), Lack::Cut),
        (
            "an end before its beginning",
            format!("{END}\n{ED25519}\n{BEGIN}\n"),
            Lack::Cut,
        ),
        ("an empty block", block(&[]), kinds(&[])),
        ("RSA alone", block(&[RSA]), kinds(&["ssh-rsa"])),
        (
            "others",
            block(&[RSA, RSA, "ssh-dss AAAA", "sk-ssh-ed25519@openssh.com AAAA"]),
            kinds(&["ssh-rsa", "ssh-dss", "sk-ssh-ed25519@openssh.com"]),
        ),
        (
            "a key that is none",
            block(&["ssh-ed25519 AAAA", "ssh-ed25519"]),
            kinds(&["ssh-ed25519"]),
        ),
        ("garbage", garbage.clone(), Lack::NoBlock),
        (
            "garbage in a block",
            format!("{BEGIN}\n{garbage}{END}\n"),
            kinds(&[]),
        ),
    ] {
        assert_eq!(found(&text), Err(expected), "{name}");
    }
}

#[test]
fn of_64_kib_that_begin_anywhere_the_block_is_found_where_it_is_whole() {
    let console = booted(&block(&[ECDSA, ED25519]));
    let from = console.find(BEGIN).unwrap();
    for begin in 0..console.len() {
        let later = "x".repeat(64 * 1024 - (console.len() - begin));
        let found = host_key(&format!("{}{later}", console.get(begin..).unwrap()));
        assert_eq!(found.is_ok(), begin <= from, "from byte {begin} on: {found:?}");
    }
    // Each cut of its end is one of what it lacks, and no key but the whole one is ever read.
    let to = console.find(END).unwrap() + END.len();
    for end in 0..console.len() {
        let found = found(console.get(..end).unwrap());
        assert_eq!(
            found.as_deref() == Ok(ED25519),
            end >= to,
            "up to byte {end}: {found:?}"
        );
        assert!(found.is_err() || end >= to, "up to byte {end}");
    }
}

#[test]
fn operators_read_what_a_console_lacks() {
    for (lack, words) in [
        (Lack::Empty, "it is empty"),
        (
            Lack::NoBlock,
            "it has no block of host keys, such as cloud-init prints",
        ),
        (Lack::Cut, "its block of host keys is cut"),
        (Lack::NoKey(Vec::new()), "its block of host keys holds none"),
        (
            Lack::NoKey(vec!["ssh-rsa".to_owned(), "ssh-dss".to_owned()]),
            "its block of host keys holds none that can be used, only ssh-rsa, ssh-dss",
        ),
    ] {
        assert_eq!(lack.to_string(), words);
    }
}
