//! The table of machines and what is done to them. Operations on one machine follow each other; different
//! machines do not wait for each other, and questions wait for nobody.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    net::Ipv4Addr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use rustix::process::Signal;

use super::{
    boot::{self, Running},
    capture,
    context::{Context, discard},
    network,
};
use crate::{
    hypervisor::{
        Failure,
        cgroup::wait_until,
        launch::{DISKS, TRASH},
        protocol::{REBOOT_STATUS, Reply},
    },
    machine::{MachineSpec, MachineState, is_instance_id},
};

/// The file of a disk's directory that holds the machine's specification.
const SPEC: &str = "spec.json";

/// All machines.
pub(super) struct Machines {
    context: Context,
    table: Mutex<BTreeMap<String, Arc<Slot>>>,
    discarded: AtomicU64,
}

/// One machine. `state` is what questions read; `body` is held through an operation.
struct Slot {
    address: Ipv4Addr,
    state: Mutex<MachineState>,
    body: Mutex<Body>,
}

struct Body {
    spec: MachineSpec,
    running: Option<Running>,
    /// Set when the machine is no longer in the table.
    absent: bool,
}

impl Slot {
    fn new(spec: MachineSpec) -> Arc<Self> {
        let address = spec.private_address;
        let body = Body {
            spec,
            running: None,
            absent: false,
        };
        Arc::new(Self {
            address,
            state: Mutex::new(MachineState::Stopped),
            body: Mutex::new(body),
        })
    }

    fn state(&self) -> MachineState {
        *lock(&self.state)
    }

    fn set_state(&self, state: MachineState) {
        *lock(&self.state) = state;
    }
}

impl Machines {
    /// Finds the disks of an earlier run. What has no specification was never a machine and is removed.
    pub(super) fn load(context: Context) -> Result<Self, Failure> {
        let machines = Self {
            context,
            table: Mutex::default(),
            discarded: AtomicU64::new(0),
        };
        let disks = machines.context.state_dir.join(DISKS);
        let failure = |error: io::Error| Failure::step(format!("read {}", disks.display()), error);
        for entry in fs::read_dir(&disks).map_err(failure)? {
            let entry = entry.map_err(failure)?;
            let id = entry.file_name().to_string_lossy().into_owned();
            match read_spec(&entry.path(), &id) {
                Ok(spec) => {
                    lock(&machines.table).insert(id, Slot::new(spec));
                }
                Err(error) => {
                    tracing::warn!(id, %error, "What is no machine's disk is removed.");
                    machines.discard(&entry.path());
                }
            }
        }
        Ok(machines)
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// Every machine and its state, by id.
    pub(super) fn list(&self) -> Vec<(String, MachineState)> {
        lock(&self.table)
            .iter()
            .map(|(id, slot)| (id.clone(), slot.state()))
            .collect()
    }

    pub(super) fn state(&self, id: &str) -> MachineState {
        lock(&self.table)
            .get(id)
            .map_or(MachineState::Absent, |slot| slot.state())
    }

    pub(super) fn run(self: &Arc<Self>, spec: &MachineSpec) -> Result<(), Failure> {
        spec.validate().map_err(|(field, reason)| Failure::InvalidSpec {
            field: field.to_owned(),
            reason,
        })?;
        let id = &spec.instance_id;
        let slot = Slot::new(spec.clone());
        // Held before anyone can find it.
        let mut body = lock(&slot.body);
        self.enter(spec, &slot)?;
        let disk = self.disk(id);
        let started = make_disk(&disk, spec)
            .map_err(|error| Failure::step(format!("make the disk of {id}"), error))
            .and_then(|()| self.boot(&slot, &mut body, true));
        if let Err(failure) = started {
            body.absent = true;
            self.discard(&disk);
            lock(&self.table).remove(id);
            return Err(failure);
        }
        Ok(())
    }

    /// Enters a new machine in the table, unless its id or its address is taken.
    fn enter(&self, spec: &MachineSpec, slot: &Arc<Slot>) -> Result<(), Failure> {
        let mut table = lock(&self.table);
        let id = &spec.instance_id;
        if let Some(other) = table.get(id) {
            return Err(Failure::WrongState {
                id: id.clone(),
                state: other.state(),
                wanted: "run it anew".to_owned(),
            });
        }
        // A stopped machine keeps its address, and the link's name is made of it.
        if let Some((holder, _)) = table.iter().find(|(_, other)| other.address == slot.address) {
            return Err(Failure::InvalidSpec {
                field: "private_address".to_owned(),
                reason: format!("{} is {holder}'s", slot.address),
            });
        }
        table.insert(id.clone(), Arc::clone(slot));
        Ok(())
    }

    pub(super) fn stop(&self, id: &str, politely: bool) -> Result<(), Failure> {
        let slot = self.find(id)?;
        let mut body = present(&slot, id)?;
        self.halt(&slot, &mut body, politely)
    }

    pub(super) fn start(self: &Arc<Self>, id: &str) -> Result<(), Failure> {
        let slot = self.find(id)?;
        let mut body = present(&slot, id)?;
        if body.running.is_some() {
            return Err(wrong_state(id, MachineState::Running, "start it"));
        }
        self.boot(&slot, &mut body, true)
    }

    pub(super) fn reboot(self: &Arc<Self>, id: &str) -> Result<(), Failure> {
        let slot = self.find(id)?;
        let mut body = present(&slot, id)?;
        let Some(running) = &body.running else {
            return Err(wrong_state(id, MachineState::Stopped, "reboot it"));
        };
        let link_up = running.link_up;
        self.halt(&slot, &mut body, true)?;
        self.boot(&slot, &mut body, link_up)
    }

    pub(super) fn terminate(&self, id: &str) -> Result<(), Failure> {
        let slot = match self.find(id) {
            Err(Failure::NoSuchMachine { .. }) => return Ok(()),
            other => other?,
        };
        let mut body = lock(&slot.body);
        if body.absent {
            return Ok(());
        }
        self.halt(&slot, &mut body, false)?;
        self.discard(&self.disk(id));
        body.absent = true;
        lock(&self.table).remove(id);
        Ok(())
    }

    /// Copies what a machine wrote to a layer of an image, while it stands still if that is wanted.
    pub(super) fn capture(self: &Arc<Self>, id: &str, image: &str, reboot: bool) -> Result<(), Failure> {
        let directory = capture::directory(&self.context.state_dir, image)?;
        let slot = self.find(id)?;
        let mut body = present(&slot, id)?;
        let link_up = body.running.as_ref().map(|running| running.link_up);
        if reboot {
            self.halt(&slot, &mut body, true)?;
        }
        let copied = capture::copy(&self.disk(id).join("upper"), &directory);
        if let Some(link_up) = link_up.filter(|_| reboot) {
            self.boot(&slot, &mut body, link_up)?;
        }
        copied
    }

    pub(super) fn discard_image(&self, image: &str) -> Result<(), Failure> {
        let directory = capture::directory(&self.context.state_dir, image)?;
        capture::remove(&directory).map_err(|error| Failure::step("remove the layer of an image", error))
    }

    pub(super) fn set_link(&self, id: &str, up: bool) -> Result<(), Failure> {
        let slot = self.find(id)?;
        let mut body = present(&slot, id)?;
        let address = body.spec.private_address;
        let Some(running) = &mut body.running else {
            return Err(wrong_state(id, MachineState::Stopped, "change its link"));
        };
        network::set_link(address, up)?;
        running.link_up = up;
        Ok(())
    }

    pub(super) fn set_frozen(&self, id: &str, frozen: bool) -> Result<(), Failure> {
        let slot = self.find(id)?;
        let body = present(&slot, id)?;
        let Some(running) = &body.running else {
            return Err(wrong_state(id, MachineState::Stopped, "freeze or thaw it"));
        };
        match running.groups.set_frozen(frozen) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::Unsupported {
                reason: "freezing needs a writable version 2 control group".to_owned(),
            }),
            Err(error) => Err(Failure::step(format!("freeze or thaw {id}"), error)),
        }
    }

    /// Ends every machine, all at once, before the process ends.
    pub(super) fn end_all(&self) {
        let slots: Vec<_> = lock(&self.table)
            .iter()
            .map(|(id, slot)| (id.clone(), Arc::clone(slot)))
            .collect();
        let end = |id: &str, slot: &Slot| {
            let mut body = lock(&slot.body);
            if let Err(failure) = self.halt(slot, &mut body, true) {
                tracing::warn!(id, ?failure, "A machine is left to the kernel.");
            }
        };
        thread::scope(|scope| {
            for (id, slot) in &slots {
                let apart = thread::Builder::new().spawn_scoped(scope, move || end(id, slot));
                if apart.is_err() {
                    // No more threads are to be had: one after the other, then.
                    end(id, slot);
                }
            }
        });
    }

    fn find(&self, id: &str) -> Result<Arc<Slot>, Failure> {
        lock(&self.table)
            .get(id)
            .cloned()
            .ok_or_else(|| Failure::NoSuchMachine { id: id.to_owned() })
    }

    fn disk(&self, id: &str) -> PathBuf {
        self.context.state_dir.join(DISKS).join(id)
    }

    /// Takes a disk away at once; its files go in the background.
    fn discard(&self, disk: &Path) {
        let name = disk
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let number = self.discarded.fetch_add(1, Ordering::Relaxed);
        let trash = self
            .context
            .state_dir
            .join(TRASH)
            .join(format!("{name}.{}.{number}", std::process::id()));
        match fs::rename(disk, &trash) {
            Ok(()) => discard(trash),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(path = %disk.display(), %error, "A disk could not be moved away."),
        }
    }

    fn halt(&self, slot: &Slot, body: &mut Body, politely: bool) -> Result<(), Failure> {
        let Some(running) = &body.running else {
            return Ok(());
        };
        running.end(&body.spec.instance_id, politely)?;
        boot::release(&body.spec, &running.groups);
        body.running = None;
        slot.set_state(MachineState::Stopped);
        Ok(())
    }

    fn boot(self: &Arc<Self>, slot: &Arc<Slot>, body: &mut Body, link_up: bool) -> Result<(), Failure> {
        let id = &body.spec.instance_id;
        // The thread first: a machine that nobody waits for could not be ended.
        let (give, take) = mpsc::sync_channel::<(Child, Arc<boot::Ended>)>(1);
        let (machines, watched) = (Arc::clone(self), Arc::clone(slot));
        let watch = move || {
            let Ok((child, ended)) = take.recv() else { return };
            let status = wait_for(child);
            ended.set(status);
            machines.ended(&watched, &ended, status);
        };
        // Owned by the process: it ends when the machine does.
        thread::Builder::new()
            .stack_size(256 * 1024)
            .spawn(watch)
            .map_err(|error| Failure::step("watch the machine", error))?;
        let (running, child) = boot::boot(&self.context, &body.spec, &self.disk(id), link_up)?;
        if give.send((child, Arc::clone(&running.ended))).is_err() {
            return Err(Failure::step("watch the machine", "its thread has ended"));
        }
        slot.set_state(MachineState::Running);
        body.running = Some(running);
        Ok(())
    }

    /// The processes of a machine have ended: finds out whether an operation ended them, and if none did starts
    /// the machine again, or tells the other side.
    fn ended(self: &Arc<Self>, slot: &Arc<Slot>, ended: &Arc<boot::Ended>, status: ExitStatus) {
        let mut body = lock(&slot.body);
        let Some(running) = body.running.take_if(|running| Arc::ptr_eq(&running.ended, ended)) else {
            return;
        };
        let id = body.spec.instance_id.clone();
        boot::release(&body.spec, &running.groups);
        slot.set_state(MachineState::Stopped);
        // The latter is the kernel's way to tell of reboot(2) in a process namespace.
        let again = status.code() == Some(REBOOT_STATUS) || status.signal() == Some(Signal::HUP.as_raw());
        if again {
            match self.boot(slot, &mut body, running.link_up) {
                Ok(()) => return,
                Err(failure) => tracing::error!(id, ?failure, "A machine did not come back from its reboot."),
            }
        }
        tracing::info!(id, %status, "A machine ended by itself.");
        self.context.tell(
            &Reply::Ended {
                id,
                state: MachineState::Stopped,
            },
            None,
        );
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The machine for an operation, unless it was terminated while the operation waited.
fn present<'a>(slot: &'a Slot, id: &str) -> Result<MutexGuard<'a, Body>, Failure> {
    let body = lock(&slot.body);
    if body.absent {
        return Err(Failure::NoSuchMachine { id: id.to_owned() });
    }
    Ok(body)
}

fn wrong_state(id: &str, state: MachineState, wanted: &str) -> Failure {
    Failure::WrongState {
        id: id.to_owned(),
        state,
        wanted: wanted.to_owned(),
    }
}

/// Waits for a child of this process. That can fail only if someone else waited for it: then it has ended, too.
fn wait_for(mut child: Child) -> ExitStatus {
    child.wait().unwrap_or_else(|error| {
        tracing::error!(%error, "A machine could not be waited for.");
        wait_until(Duration::from_secs(10), || {
            !Path::new(&format!("/proc/{}", child.id())).exists()
        });
        ExitStatus::default()
    })
}

/// Makes the directories of a disk, and last its specification: a disk without one is no disk.
fn make_disk(disk: &Path, spec: &MachineSpec) -> io::Result<()> {
    for directory in ["upper", "work", "root", "data", "verdigris"] {
        fs::create_dir_all(disk.join(directory))?;
    }
    let temporary = disk.join("spec.new");
    let mut file = fs::File::create(&temporary)?;
    serde_json::to_writer(&mut file, spec)?;
    file.flush()?;
    fs::rename(&temporary, disk.join(SPEC))
}

fn read_spec(disk: &Path, id: &str) -> io::Result<MachineSpec> {
    let spec: MachineSpec = serde_json::from_slice(&fs::read(disk.join(SPEC))?)?;
    if !is_instance_id(id) || spec.instance_id != id {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "its specification names another machine",
        ));
    }
    Ok(spec)
}

#[cfg(test)]
mod tests;
