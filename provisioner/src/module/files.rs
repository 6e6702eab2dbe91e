//! file, stat and lineinfile.

use crate::arguments::Arguments;
use crate::host::Host;
use crate::outcome::{Done, Failure, Problem};
use crate::scripts::{FILE, LINE_IN_FILE, STAT};
use crate::value::{Value, map};
use crate::words;

pub(super) async fn file(arguments: &Arguments, host: &Host<'_>) -> Result<Done, Failure> {
    let state = arguments.choice("state", "file", &["file", "directory", "absent", "touch", "link"])?;
    let source = arguments.word("src")?;
    if (state == "link") == source.is_empty() {
        return Err(Problem::new("src goes with state: link, and the other way round".to_owned()).into());
    }
    let keeps = |name: &str| Ok::<_, Problem>(arguments.word(name)? == "preserve");
    let preserve = u8::from(keeps("modification_time")? && keeps("access_time")?).to_string();
    let values = [
        state,
        arguments.path("path")?,
        arguments.mode("mode")?,
        arguments.owner("owner")?,
        arguments.owner("group")?,
        source,
        arguments.bit("force", false)?,
        preserve,
    ];
    let lines = host
        .script("file", FILE, &values.each_ref().map(String::as_str), Vec::new())
        .await?;
    Ok(Done::changes(lines.changes()))
}

pub(super) async fn line_in_file(arguments: &Arguments, host: &Host<'_>) -> Result<Done, Failure> {
    let state = arguments.choice("state", "present", &["present", "absent"])?;
    let (line, regexp) = (arguments.word("line")?, arguments.word("regexp")?);
    if line.contains('\n') {
        return Err(Problem::new("line holds more than one line".to_owned()).into());
    }
    let is_given = |name: &str| arguments.value(name).is_some();
    if !is_given("line") && (state == "present" || !is_given("regexp")) {
        return Err(Problem::new("lineinfile needs line, or regexp with state: absent".to_owned()).into());
    }
    if is_given("regexp") {
        words::check_regexp(&regexp).map_err(Problem::new)?;
    }
    let end = arguments.choice("insertafter", "EOF", &["EOF"])?;
    let place = match arguments.value("insertbefore") {
        Some(_) => arguments.choice("insertbefore", "BOF", &["BOF"])?,
        None => end,
    };
    let values = [
        arguments.path("path")?,
        state,
        arguments.bit("create", false)?,
        place,
        arguments.mode("mode")?,
        arguments.owner("owner")?,
        arguments.owner("group")?,
        line,
        regexp,
    ];
    let texts = values.each_ref().map(String::as_str);
    let lines = host
        .script("lineinfile", LINE_IN_FILE, &texts, Vec::new())
        .await?;
    Ok(Done::changes(lines.changes()))
}

/// What `stat` says, under the names Ansible gives it. Only SHA-256 is computed, and only when asked for.
pub(super) async fn stat(arguments: &Arguments, host: &Host<'_>) -> Result<Done, Failure> {
    let path = arguments.path("path")?;
    let follow = arguments.bit("follow", false)?;
    let wanted = arguments.flag("get_checksum", true)?;
    let digest = wanted && arguments.choice("checksum_algorithm", "sha1", &["sha1", "sha256"])? == "sha256";
    let digest = u8::from(digest).to_string();
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
