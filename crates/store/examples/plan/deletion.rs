//! The deletion of a large project while others write, which older commits did in one transaction.

use std::time::{Duration, Instant};

use model::ProjectId;
use store::{ProjectSettings, Store};

use crate::{DELETED, Result, connect, fill, line, median, now, quantile};

/// Deletes a project while others write, with the rests that workers make.
pub(crate) async fn delete(database: &str, url: &str) -> Result<()> {
    fill(url, DELETED * 5).await?;
    let store = connect(url).await?;
    let alone = others(&store, async { tokio::time::sleep(Duration::from_secs(5)).await }).await?;
    let began = Instant::now();
    let project = ProjectId(1);
    store.delete_project(project, now()).await?;
    let marked = began.elapsed();
    let mut pieces: Vec<f64> = Vec::new();
    let beside = others(&store, async {
        loop {
            let piece = Instant::now();
            match store.clear_project(project, now()).await {
                Ok(true) => pieces.push(piece.elapsed().as_secs_f64() * 1e3),
                Ok(false) => break,
                Err(error) => println!("  a piece failed: {error}"),
            }
            tokio::time::sleep(piece.elapsed().max(Duration::from_millis(5))).await;
        }
    })
    .await?;
    line(
        database,
        &format!("a project of {DELETED} builds is deleted for its users"),
        &format!("{:>9.1} ms", marked.as_secs_f64() * 1e3),
    );
    line(
        database,
        &format!("its rows are gone, in {} pieces", pieces.len()),
        &format!(
            "{:>9.1} s, a piece {:.1} ms, the longest {:.1} ms",
            began.elapsed().as_secs_f64(),
            median(&pieces),
            quantile(&pieces, 1.0)
        ),
    );
    for (what, times) in [("alone", &alone), ("meanwhile", &beside)] {
        line(
            database,
            &format!("{} changes by others, {what}", times.len()),
            &format!(
                "{:>9.1} ms, p99 {:.1} ms, the longest {:.1} ms",
                median(times),
                quantile(times, 0.99),
                quantile(times, 1.0)
            ),
        );
    }
    Ok(())
}

/// How long others' changes take while `work` goes on, in milliseconds.
async fn others(store: &Store, work: impl Future<Output = ()>) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    let other = ProjectId(2);
    let settings = ProjectSettings::default();
    let changing = async {
        loop {
            let began = Instant::now();
            let changed = store.change_project_settings(other, |_| settings.clone(), now());
            if let Err(error) = changed.await {
                println!("  a change failed: {error}");
            }
            times.push(began.elapsed().as_secs_f64() * 1e3);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = changing => {}
    }
    Ok(times)
}
