//! Which images are used for those of the fleet file that say only which ones match. Each cloud is asked now and then, beside the
//! rounds; `model::fleet::select` chooses, and what it chose is on record before anything is launched from it. An answer that fails, or in
//! which nothing matches, changes nothing of what is in use. Where a list lacks the image in use, the cloud is asked for that one by its id
//! before an older one takes its place.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use cloud::{Cloud, Image, ImageState};
use model::{
    Timestamp,
    fleet::{self, ChosenImage, CloudImage, FleetSpec, ImageChoices, ImageQuestion, PoolKind},
    plan::CloudHealth,
};
use runtime::{clock::Clock, supervisor::error_chain};
use store::Lease;
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, info, warn};

use crate::{Context, Error, caught};

/// How often a cloud is asked for each image, and how soon again when it did not answer or nothing matched.
const ASK_EVERY: Duration = Duration::from_secs(300);
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// How long an answer is waited for, with all that makes a question wait for its turn.
const LIMIT: Duration = Duration::from_secs(60);
/// EC2's code for an image whose owner shares it with the account no more.
const NOT_SHARED: &str = "AuthFailure";

/// What a question gave: the images, or why there are none.
type Outcome = Result<Vec<CloudImage>, Error>;

/// A question that was put.
#[derive(Clone, Debug)]
struct Question {
    /// The image, by its name in the fleet file.
    image: String,
    asked: ImageQuestion,
    /// What is in use by an earlier answer.
    in_use: Option<ChosenImage>,
}

/// The questions for images, and their answers.
#[derive(Debug)]
pub(crate) struct Selection {
    clock: Clock,
    tasks: JoinSet<(Question, Outcome)>,
    /// The images for which a cloud is being asked.
    asked: BTreeSet<String>,
    /// What was answered, and nobody has thought about yet.
    answers: Vec<(Question, Outcome)>,
    /// When each image is to be asked for again, by the clock's elapsed time.
    due: BTreeMap<String, Duration>,
    /// Why the last answer was of no use, by image: that is told once.
    told: BTreeMap<String, String>,
}

impl Selection {
    /// Nobody was asked yet.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            tasks: JoinSet::new(),
            asked: BTreeSet::new(),
            answers: Vec::new(),
            due: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// Asks nobody any more, and forgets all answers: each image is asked for anew.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
        *self = Self::new(self.clock.clone());
    }

    /// How many questions are under way.
    #[cfg(test)]
    pub(crate) fn under_way(&self) -> usize {
        self.tasks.len()
    }

    /// Whether all answers have been thought about.
    #[cfg(test)]
    pub(crate) fn is_quiet(&self) -> bool {
        self.answers.is_empty()
    }

    /// Waits for an answer; `None` when nobody is asked.
    pub(crate) async fn ends(&mut self) -> Option<()> {
        let ended = self.tasks.join_next().await?;
        self.take(ended);
        while let Some(ended) = self.tasks.try_join_next() {
            self.take(ended);
        }
        Some(())
    }

    fn take(&mut self, ended: Result<(Question, Outcome), JoinError>) {
        // Panics are caught inside: what is left is a task that was aborted.
        let Ok((question, outcome)) = ended else { return };
        self.asked.remove(&question.image);
        self.answers.push((question, outcome));
    }

    /// Writes down what was answered.
    ///
    /// # Errors
    /// When the database is away or the lease is lost; what was answered is written down by a later round then.
    pub(crate) async fn conclude(&mut self, context: &Context, lease: &Lease) -> Result<(), Error> {
        while let Some((question, outcome)) = self.answers.first() {
            let (image, now) = (question.image.clone(), context.clock.now());
            let answer = answer(question, outcome, now);
            if let Some(answer) = &answer {
                record(context, lease, question, answer, now).await?;
            }
            drop(self.answers.remove(0));
            let failure = match answer {
                Some(Ok(_)) => {
                    self.told.remove(&image);
                    continue;
                }
                Some(Err(why)) => Some(why),
                None => None,
            };
            let again = self.clock.elapsed().saturating_add(ASK_AGAIN_AFTER);
            self.due.insert(image.clone(), again);
            if let Some(why) = failure.filter(|why| self.told.get(&image) != Some(why)) {
                warn!("What is used for images.{image} stays as it is: {why}.");
                self.told.insert(image, why);
            }
        }
        Ok(())
    }

    /// Asks for the images whose time has come, but no cloud that does not answer.
    pub(crate) fn begin(
        &mut self,
        context: &Context,
        choices: &ImageChoices,
        health: &BTreeMap<String, CloudHealth>,
    ) {
        let elapsed = self.clock.elapsed();
        for question in questions(&context.fleet, choices) {
            let name = &question.image;
            let is_due = self.due.get(name).is_none_or(|due| *due <= elapsed);
            if !is_due || self.asked.contains(name) || self.answers.iter().any(|(it, _)| it.image == *name) {
                continue;
            }
            let is_away = matches!(health.get(&question.asked.cloud), Some(CloudHealth::Away(_)));
            let Some(cloud) = context.clouds.get(&question.asked.cloud).filter(|_| !is_away) else {
                continue;
            };
            self.due.insert(name.clone(), elapsed.saturating_add(ASK_EVERY));
            self.asked.insert(name.clone());
            let (cloud, clock, term) = (Arc::clone(cloud), self.clock.clone(), context.term.clone());
            self.tasks.spawn(async move {
                let ask = async {
                    let answer = ask(cloud.as_ref(), &question, clock.now()).await;
                    answer.map_err(|source| failed(&question, source))
                };
                let ask = async {
                    let silent = cloud::Error::Unclear {
                        what: format!("it did not answer within {} s", LIMIT.as_secs()),
                    };
                    let answer = clock.within(LIMIT, ask).await;
                    answer.unwrap_or_else(|| Err(failed(&question, silent)))
                };
                let work = caught("a question for images", ask);
                let outcome = term.within(&clock, work).await;
                (question, outcome)
            });
        }
    }
}

/// Asks a cloud for the images that match, and for the one in use by its id where the list does not settle what became of it.
async fn ask(
    cloud: &dyn Cloud,
    Question { asked, in_use, .. }: &Question,
    now: Timestamp,
) -> Result<Vec<CloudImage>, cloud::Error> {
    let select = &asked.select;
    let found = cloud.images_named(&select.owner, &select.name).await?;
    let mut images: Vec<_> = found.iter().map(listed).collect();
    if let Some(id) = fleet::to_confirm(&images, in_use.as_ref(), select, now) {
        images.extend(still_there(cloud, id).await?);
    }
    Ok(images)
}

/// An image that a list lacks, if the cloud still has it and the account may use it.
async fn still_there(cloud: &dyn Cloud, id: &str) -> Result<Option<CloudImage>, cloud::Error> {
    match cloud.image(id).await {
        // The list was given with the same key: it is the image that is not this account's to use any more.
        Err(cloud::Error::Refused { code, .. }) if code == NOT_SHARED => Ok(None),
        told => Ok(told?.as_ref().map(listed)),
    }
}

fn failed(question: &Question, source: cloud::Error) -> Error {
    Error::Cloud {
        cloud: question.asked.cloud.clone(),
        source,
    }
}

/// What is asked for the images of a fleet file that pools use.
fn questions(fleet: &FleetSpec, choices: &ImageChoices) -> Vec<Question> {
    let used: BTreeSet<&str> = fleet
        .pools
        .values()
        .filter_map(|pool| match pool.kind() {
            PoolKind::Cloud { image } => Some(image),
            PoolKind::Hosts(_) => None,
        })
        .collect();
    let images = fleet.images.keys().filter(|name| used.contains(name.as_str()));
    images
        .filter_map(|name| {
            Some(Question {
                image: name.clone(),
                asked: fleet.image_question(name)?,
                in_use: fleet.image_choice(name, choices).and_then(|it| it.chosen.clone()),
            })
        })
        .collect()
}

/// The image that is used by an answer, or why there is none, as a sentence for operators; `None` where the cloud was not asked.
fn answer(question: &Question, outcome: &Outcome, now: Timestamp) -> Option<Result<CloudImage, String>> {
    let Question { image, asked, .. } = question;
    let images = match outcome {
        Err(Error::Cloud { source, .. }) if matches!(source, cloud::Error::Rationed { .. }) => {
            debug!("The question for images.{image}.select waits: {source}");
            return None;
        }
        Err(error) => return Some(Err(format!("images.{image}.select: {}", error_chain(error)))),
        Ok(images) => images,
    };
    let found = fleet::select(images, &asked.select, now);
    let none = || format!("no image matches images.{image}.select");
    Some(found.cloned().ok_or_else(none))
}

/// Writes down what is used from now on, or why the question gave nothing.
async fn record(
    context: &Context,
    lease: &Lease,
    Question { image, asked, .. }: &Question,
    answer: &Result<CloudImage, String>,
    now: Timestamp,
) -> Result<(), Error> {
    let found = answer.as_ref().map_err(String::as_str);
    let recorded = context.store.record_image_choice(lease, image, asked, found, now);
    if let (true, Ok(CloudImage { id, name, .. })) = (recorded.await?, answer) {
        info!(
            cloud = asked.cloud,
            "Image {id}, named {name}, is used for images.{image} from now on."
        );
    }
    Ok(())
}

/// An image, as far as a choice needs to know it.
#[must_use]
pub fn listed(image: &Image) -> CloudImage {
    CloudImage {
        id: image.id.clone(),
        name: image.name.clone(),
        created: image.created.as_deref().and_then(|created| created.parse().ok()),
        is_available: image.state == ImageState::Available,
    }
}
