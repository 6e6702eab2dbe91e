//! Files there and back: content, mode, replacement, limits, and what must never be fetched.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use sha2::{Digest, Sha256};
use shell::{Connection, Download, Error, Upload};

use crate::sshd::Sshd;

const LONG: Duration = Duration::from_secs(60);

fn upload_to(path: &std::path::Path, size: usize) -> Upload {
    Upload {
        path: path.display().to_string(),
        makes_directory: false,
        mode: 0o640,
        size: size as u64,
        deadline: LONG,
    }
}

async fn fetch(connection: &Connection, path: &std::path::Path, max_bytes: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let download = Download {
        path: path.display().to_string(),
        max_bytes,
        deadline: LONG,
    };
    let got = connection.download(&mut bytes, &download).await?;
    assert_eq!(got.size, bytes.len() as u64);
    assert_eq!(got.sha256, hex::encode(Sha256::digest(&bytes)));
    Ok(bytes)
}

#[tokio::test]
async fn a_directory_that_is_missing_is_made_only_when_that_is_wished() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let directory = server.path("of/an attempt");
    let path = directory.join("input");
    let wish = |makes_directory| Upload {
        makes_directory,
        ..upload_to(&path, 5)
    };
    let refused = connection.upload(&mut &b"12345"[..], &wish(false)).await;
    assert!(matches!(refused, Err(Error::Failed { .. })), "{refused:?}");
    assert!(!directory.exists());
    // Twice: the second time it is there.
    for content in [&b"12345"[..], b"67890"] {
        connection.upload(&mut &*content, &wish(true)).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    let mode = fs::metadata(&directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o700, 0o700);
    assert_ne!(
        mode & 0o055,
        0,
        "it has the modes of the machine, and not those of a file that is being written"
    );
}

#[tokio::test]
async fn files_of_every_size_make_the_round_trip() {
    let server = Sshd::start();
    let connection = server.connect().await;
    for size in [0, 1, 65_536, 65_537, 3_000_000] {
        let bytes: Vec<u8> = (0..=250_u8).cycle().take(size).collect();
        let path = server.path("it's a \"file\" $x");
        let digest = connection
            .upload(&mut bytes.as_slice(), &upload_to(&path, size))
            .await
            .expect("uploaded");
        assert_eq!(digest, hex::encode(Sha256::digest(&bytes)));
        assert_eq!(
            fs::metadata(&path).expect("the file").permissions().mode() & 0o7777,
            0o640
        );
        assert!(
            fetch(&connection, &path, size as u64).await.expect("downloaded") == bytes,
            "size {size}"
        );
    }
}

#[tokio::test]
async fn a_name_as_long_as_the_file_system_permits_is_taken() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let path = server.path(&"x".repeat(255));
    connection
        .upload(&mut b"content".as_slice(), &upload_to(&path, 7))
        .await
        .expect("uploaded");
    assert_eq!(
        fetch(&connection, &path, 7).await.expect("downloaded"),
        b"content"
    );
}

#[tokio::test]
async fn a_source_that_is_too_short_leaves_nothing_behind() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let directory = server.path("target");
    fs::create_dir(&directory).expect("a directory");
    fs::write(directory.join("file"), "old").expect("an old file");
    let upload = upload_to(&directory.join("file"), 100);
    let error = connection
        .upload(&mut b"short".as_slice(), &upload)
        .await
        .expect_err("too short");
    assert!(matches!(error, Error::Local { .. }), "{error:?}");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        let names: Vec<_> = fs::read_dir(&directory)
            .expect("it")
            .map(|entry| entry.expect("entry").file_name())
            .collect();
        if names == ["file"] {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "left behind: {names:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fs::read_to_string(directory.join("file")).expect("it"), "old");
}

#[tokio::test]
async fn an_upload_without_a_place_says_why() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let bytes = vec![0_u8; 5_000_000];
    let upload = upload_to(&server.path("missing/file"), bytes.len());
    let error = connection
        .upload(&mut bytes.as_slice(), &upload)
        .await
        .expect_err("no directory");
    assert!(
        matches!(error, Error::Failed { .. }) && error.to_string().contains("No such file"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_file_above_the_limit_is_not_taken() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let path = server.path("large");
    fs::write(&path, vec![1_u8; 1001]).expect("a file");
    let mut bytes = Vec::new();
    let download = Download {
        path: path.display().to_string(),
        max_bytes: 1000,
        deadline: LONG,
    };
    let error = connection
        .download(&mut bytes, &download)
        .await
        .expect_err("too large");
    assert!(
        matches!(
            error,
            Error::TooLarge {
                size: 1001,
                limit: 1000,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(bytes.len(), 0);
}

#[tokio::test]
async fn links_pipes_directories_and_missing_files_are_not_fetched() {
    let server = Sshd::start();
    let connection = server.connect().await;
    fs::write(server.path("secret"), "secret").expect("a file");
    symlink(server.path("secret"), server.path("link")).expect("a link");
    fs::create_dir(server.path("directory")).expect("a directory");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        server.path("pipe"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .expect("a pipe");
    for name in ["link", "directory", "pipe", "missing"] {
        let error = fetch(&connection, &server.path(name), 1000)
            .await
            .expect_err("refused");
        assert!(matches!(error, Error::Failed { .. }), "{name}: {error:?}");
        assert!(
            error.to_string().ends_with("is not a regular file"),
            "{name}: {error}"
        );
    }
}

#[tokio::test]
async fn a_deadline_ends_a_transfer() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let upload = Upload {
        deadline: Duration::from_millis(300),
        ..upload_to(&server.path("file"), 10)
    };
    let (mut silent, _kept_open) = tokio::io::duplex(16);
    let error = connection
        .upload(&mut silent, &upload)
        .await
        .expect_err("too slow");
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert!(!server.path("file").exists());
}
