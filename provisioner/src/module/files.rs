//! file, stat and lineinfile.

use crate::arguments::Arguments;
use crate::host::Host;
use crate::outcome::{Done, Failure, Problem};
use crate::scripts::{FILE, LINE_IN_FILE, STAT};
use crate::value::{Value, map};
use crate::words;

pub(super) fn file_arguments(arguments: &Arguments) -> Result<[String; 8], Problem> {
    let state = arguments.choice("state", "file", &["file", "directory", "absent", "touch", "link"])?;
    let source = arguments.word("src")?;
    if (state == "link") == source.is_empty() && arguments.are_known(&["state", "src"]) {
        let message = "src goes with state: link, and the other way round".to_owned();
        return Err(Problem::new(message));
    }
    let keeps = |name: &str| {
        let word = arguments.choice(name, "preserve", &["preserve"]);
        word.map(|_| arguments.value(name).is_some())
    };
    let times = [keeps("modification_time")?, keeps("access_time")?];
    let preserve = u8::from(times == [true, true]).to_string();
    Ok([
        state,
        arguments.path("path")?,
        arguments.mode("mode")?,
        arguments.owner("owner")?,
        arguments.owner("group")?,
        source,
        arguments.bit("force", false)?,
        preserve,
    ])
}

pub(super) async fn file(arguments: &Arguments, host: &Host<'_>) -> Result<Done, Failure> {
    let values = file_arguments(arguments)?;
    let lines = host
        .script("file", FILE, &values.each_ref().map(String::as_str), Vec::new())
        .await?;
    Ok(Done::changes(lines.changes()))
}

pub(super) fn line_arguments(arguments: &Arguments) -> Result<[String; 9], Problem> {
    let state = arguments.choice("state", "present", &["present", "absent"])?;
    let (line, regexp) = (arguments.word("line")?, arguments.word("regexp")?);
    if line.contains('\n') {
        return Err(arguments.about("line", "line holds more than one line".to_owned()));
    }
    let is_given = |name: &str| arguments.value(name).is_some();
    let is_known = arguments.are_known(&["line", "regexp", "state"]);
    if is_known && !is_given("line") && (state == "present" || !is_given("regexp")) {
        let message = "lineinfile needs line, or regexp with state: absent".to_owned();
        return Err(Problem::new(message));
    }
    if is_given("regexp") {
        words::check_regexp(&regexp).map_err(|why| arguments.about("regexp", why))?;
    }
    let end = arguments.choice("insertafter", "EOF", &["EOF"])?;
    let place = match arguments.value("insertbefore") {
        Some(_) => arguments.choice("insertbefore", "BOF", &["BOF"])?,
        None => end,
    };
    Ok([
        arguments.path("path")?,
        state,
        arguments.bit("create", false)?,
        place,
        arguments.mode("mode")?,
        arguments.owner("owner")?,
        arguments.owner("group")?,
        line,
        regexp,
    ])
}

pub(super) async fn line_in_file(arguments: &Arguments, host: &Host<'_>) -> Result<Done, Failure> {
    let values = line_arguments(arguments)?;
    let texts = values.each_ref().map(String::as_str);
    let lines = host
        .script("lineinfile", LINE_IN_FILE, &texts, Vec::new())
        .await?;
    Ok(Done::changes(lines.changes()))
}

/// The path, whether links are followed, and whether there is to be a digest.
pub(super) fn stat_arguments(arguments: &Arguments) -> Result<[String; 3], Problem> {
    let wanted = arguments.flag("get_checksum", true)?;
    let algorithm = arguments.choice("checksum_algorithm", "sha1", &["sha1", "sha256"])?;
    Ok([
        arguments.path("path")?,
        arguments.bit("follow", false)?,
        u8::from(wanted && algorithm == "sha256").to_string(),
    ])
}

/// What `stat` says, under the names Ansible gives it. Only SHA-256 is computed, and only when asked for.
pub(super) async fn stat(arguments: &Arguments, host: &Host<'_>) -> Result<Done, Failure> {
    let [path, follow, digest] = stat_arguments(arguments)?;
    let lines = host
        .script("stat", STAT, &[&path, &follow, &digest], Vec::new())
        .await?;
    let mut done = Done::default();
    done.values
        .insert("stat".to_owned(), stat_values(&path, lines.text())?);
    Ok(done)
}

fn stat_values(path: &str, text: &str) -> Result<Value, Failure> {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    if first == "missing" {
        return Ok(Value::Map(map([("exists", Value::Bool(false))])));
    }
    let fields: Vec<&str> = first.split('|').collect();
    let [kind, mode, size, uid, gid, user, group, modified] = fields.as_slice() else {
        return Err(Problem::new(format!("stat printed {first:?}")).into());
    };
    let number = |text: &str| Value::Int(text.parse().unwrap_or_default());
    let mut stat = map([
        ("exists", Value::Bool(true)),
        ("path", Value::from(path)),
        ("isreg", Value::Bool(kind.starts_with("regular"))),
        ("isdir", Value::Bool(*kind == "directory")),
        ("islnk", Value::Bool(*kind == "symbolic link")),
        ("isblk", Value::Bool(*kind == "block special file")),
        ("ischr", Value::Bool(*kind == "character special file")),
        ("isfifo", Value::Bool(*kind == "fifo")),
        ("issock", Value::Bool(*kind == "socket")),
        ("mode", Value::Text(format!("{mode:0>4}"))),
        ("size", number(size)),
        ("uid", number(uid)),
        ("gid", number(gid)),
        ("pw_name", Value::from(*user)),
        ("gr_name", Value::from(*group)),
        ("mtime", number(modified)),
    ]);
    let access = lines.next().unwrap_or_default();
    for (name, letter) in [("readable", 'r'), ("writeable", 'w'), ("executable", 'x')] {
        stat.insert(name.to_owned(), Value::Bool(access.contains(letter)));
    }
    for name in ["lnk_target", "lnk_source"] {
        if let Some(target) = lines.next().filter(|target| !target.is_empty()) {
            stat.insert(name.to_owned(), Value::from(target));
        }
    }
    if let Some(digest) = lines.next().and_then(|line| line.split(' ').next()) {
        stat.insert("checksum".to_owned(), Value::from(digest));
    }
    Ok(Value::Map(stat))
}
