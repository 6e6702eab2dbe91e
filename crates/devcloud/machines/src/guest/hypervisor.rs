//! The hypervisor process: process 1 of the namespace that all machines are in. It brings the cloud's network
//! up, then does what the control socket asks, each request on a thread of its own, and ends with the socket.

use std::{
    fs, io,
    net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::{
    io::Errno,
    mount::{MountFlags, mount, mount_bind},
};

use super::{
    complain,
    context::{Context, PROGRAM, discard},
    control_socket,
    machines::Machines,
    network,
};
use crate::hypervisor::{
    Failure,
    cgroup::Hierarchies,
    launch::TRASH,
    protocol::{self, Answer, Call, Greeting, Reply, Request, Welcome},
};

/// Requests that may be under way at once.
const CALLS_MAX: usize = 512;

/// Entry point.
pub(super) fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false)
        .init();
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(format_args!("the hypervisor process ends: {error}")),
    }
}

fn serve() -> io::Result<()> {
    let socket = control_socket()?;
    let Some((greeting, _)) = protocol::receive::<Greeting>(&socket)? else {
        return Ok(());
    };
    let machines = match set_up(greeting, socket.try_clone()?) {
        Ok(machines) => Arc::new(machines),
        Err(failure) => return protocol::send(&socket, &Err::<Welcome, _>(failure), None),
    };
    let context = machines.context();
    let welcome = Welcome {
        leftovers: machines.list().into_iter().map(|(id, _)| id).collect(),
        limits_memory: context.hierarchies.limits_memory(),
        limits_processes: context.hierarchies.limits_processes(),
        can_freeze: context.hierarchies.can_freeze(),
    };
    protocol::send(&socket, &Ok::<_, Failure>(welcome), None)?;
    for entry in fs::read_dir(context.state_dir.join(TRASH))?.flatten() {
        discard(entry.path());
    }

    let obeyed = obey(&machines, &socket);
    // The kernel takes everything else of the machines away when this process ends.
    context.hierarchies.remove();
    obeyed
}

/// Does what the control socket asks until it closes or asks for the end.
fn obey(machines: &Arc<Machines>, socket: &OwnedFd) -> io::Result<()> {
    let context = machines.context();
    let under_way = Arc::new(AtomicUsize::new(0));
    while let Some((call, _)) = protocol::receive::<Call>(socket)? {
        let number = call.number;
        let result = if matches!(call.request, Request::Shutdown) {
            machines.end_all();
            context.hierarchies.remove();
            Ok(Answer::Done)
        } else if let Err(failure) = begin(machines, &under_way, call) {
            Err(failure)
        } else {
            continue;
        };
        let ending = result.is_ok();
        context.tell(&Reply::Answer { number, result }, None);
        if ending {
            break;
        }
    }
    Ok(())
}

/// Begins a request on a thread of its own. Where none can be started this request fails, and no other and no machine
/// is the worse for it.
fn begin(machines: &Arc<Machines>, under_way: &Arc<AtomicUsize>, call: Call) -> Result<(), Failure> {
    if under_way.fetch_add(1, Ordering::AcqRel) >= CALLS_MAX {
        under_way.fetch_sub(1, Ordering::AcqRel);
        return Err(Failure::step("take the request", "too many are under way"));
    }
    let (worker, count) = (Arc::clone(machines), Arc::clone(under_way));
    let work = move || {
        let number = call.number;
        let (result, descriptor) = match answer(&worker, call.request) {
            Ok((answer, descriptor)) => (Ok(answer), descriptor),
            Err(failure) => (Err(failure), None),
        };
        worker
            .context()
            .tell(&Reply::Answer { number, result }, descriptor.as_ref());
        count.fetch_sub(1, Ordering::AcqRel);
    };
    // Owned by the process: it is done when its answer is sent, and ends with the namespace.
    let started = thread::Builder::new().stack_size(256 * 1024).spawn(work);
    started.map(drop).map_err(|error| {
        under_way.fetch_sub(1, Ordering::AcqRel);
        Failure::step("start a thread for the request", error)
    })
}

/// Makes this mount namespace and network fit for machines.
fn set_up(greeting: Greeting, control: OwnedFd) -> Result<Machines, Failure> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let step = |what: &'static str| move |errno: Errno| Failure::step(what, errno);
    mount("proc", "/proc", "proc", quiet, None).map_err(step("mount a process file system"))?;
    mount(
        "tmpfs",
        "/run",
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        Some(c"mode=755,size=16m"),
    )
    .map_err(step("mount /run"))?;
    fs::write(PROGRAM, "").map_err(|error| Failure::step("make a name for this program", error))?;
    mount_bind("/proc/self/exe", PROGRAM).map_err(step("bind this program"))?;
    network::up()?;
    let context = Context {
        hierarchies: Hierarchies::make(&greeting.cloud_id),
        state_dir: greeting.state_dir,
        rootless: greeting.rootless,
        outside: greeting.outside,
        helper_arguments: greeting.helper_arguments,
        control,
    };
    Machines::load(context)
}

fn answer(machines: &Arc<Machines>, request: Request) -> Result<(Answer, Option<OwnedFd>), Failure> {
    let done = |result: Result<(), Failure>| result.map(|()| (Answer::Done, None));
    match request {
        Request::Run(spec) => done(machines.run(&spec)),
        Request::Stop { id, politely } => done(machines.stop(&id, politely)),
        Request::Start { id } => done(machines.start(&id)),
        Request::Reboot { id } => done(machines.reboot(&id)),
        Request::Terminate { id } => done(machines.terminate(&id)),
        Request::Capture { id, image, reboot } => done(machines.capture(&id, &image, reboot)),
        Request::DiscardImage { image } => done(machines.discard_image(&image)),
        Request::SetLink { id, up } => done(machines.set_link(&id, up)),
        Request::Freeze { id, frozen } => done(machines.set_frozen(&id, frozen)),
        Request::State { id } => Ok((Answer::State(machines.state(&id)), None)),
        Request::List => Ok((Answer::Machines(machines.list()), None)),
        Request::Connect {
            address,
            timeout_milliseconds,
        } => {
            let stream = connect(address, Duration::from_millis(timeout_milliseconds))?;
            Ok((Answer::Descriptor, Some(stream.into())))
        }
        Request::Listen { address } => {
            let listener = TcpListener::bind(address).map_err(|error| {
                Failure::step(format!("listen on {address} in the cloud's network"), error)
            })?;
            Ok((Answer::Descriptor, Some(listener.into())))
        }
        Request::JoinOutside => done(network::join_outside()),
        Request::Shutdown => Err(Failure::step("shut down", "it is under way")),
    }
}

/// Opens a connection from this process's network, which is the cloud's.
fn connect(address: SocketAddrV4, patience: Duration) -> Result<TcpStream, Failure> {
    // Zero is refused by the standard library.
    let patience = patience.max(Duration::from_millis(1));
    TcpStream::connect_timeout(&SocketAddr::V4(address), patience).map_err(|error| {
        let errno = error
            .raw_os_error()
            .unwrap_or_else(|| Errno::TIMEDOUT.raw_os_error());
        Failure::Connect { address, errno }
    })
}
