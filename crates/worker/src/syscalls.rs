//! Which system calls a worker can make, held by seccomp: a list of those it cannot.
//!
//! A call that is refused fails as it would for want of rights, so that Python raises `PermissionError` and the
//! process goes on.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};

use crate::refused::{ALWAYS, METADATA, MODES, PROGRAMS};

/// What is left to a worker.
pub(crate) struct Calls {
    /// It may start programs.
    pub(crate) subprocesses: bool,
    /// It may open connections.
    pub(crate) network: bool,
    /// It may signal others: something else keeps it to its own programs.
    pub(crate) signals: bool,
    /// It may change modes, owners and times of files.
    pub(crate) modes: bool,
}

/// Flags of `clone` that make namespaces.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// `fcntl` commands that name the process a signal goes to.
const OWNERS_BY_FCNTL: [libc::c_int; 2] = [libc::F_SETOWN, 15];

/// `ioctl` requests: signals to others (`FIOSETOWN`, `SIOCSPGRP`), and typing into a terminal.
const REFUSED_IOCTLS: [libc::c_int; 4] = [0x8901, 0x8902, 0x5412, 0x541C];

/// The kinds of sockets of an open network. Not the local ones: behind those sit the services of the machine.
const FAMILIES: [libc::c_int; 3] = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Puts the filters in force for this thread and all that come of it.
pub(crate) fn filter(calls: &Calls) -> Result<String, String> {
    let refused = rules(calls).map_err(|error| error.to_string())?;
    // `clone3` keeps its flags where no filter can look: the C library then falls back to `clone`.
    let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let mut programs = vec![
        program(absent, libc::ENOSYS)?,
        program(refused, libc::EPERM)?,
    ];
    if !calls.modes {
        let ignored = MODES.iter().map(|&call| (call, Vec::new())).collect();
        programs.push(program(ignored, 0)?);
    }
    if cfg!(target_arch = "x86_64") {
        programs.push(without_x32());
    }
    for program in &programs {
        seccompiler::apply_filter(program).map_err(|error| format!("seccomp: {error}"))?;
    }
    Ok("seccomp".to_owned())
}

fn program(rules: Rules, error: libc::c_int) -> Result<BpfProgram, String> {
    let architecture = std::env::consts::ARCH
        .try_into()
        .map_err(|error| format!("seccomp: {error}"))?;
    let error = SeccompAction::Errno(error.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, error, architecture)
        .and_then(BpfProgram::try_from)
        .map_err(|error| format!("seccomp: {error}"))
}

/// Refuses the calls of the x32 ABI, which are the same ones under other numbers.
fn without_x32() -> BpfProgram {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const X32: u32 = 0x4000_0000;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let no_call = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    vec![
        step(LOAD_NUMBER, 0, 0, 0),
        step(JUMP_IF_AT_LEAST, 0, 1, X32),
        step(RETURN, 0, 0, no_call),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn rules(calls: &Calls) -> seccompiler::Result<Rules> {
    let mut rules: Rules = ALWAYS.iter().map(|&call| (call, Vec::new())).collect();
    if !calls.modes {
        rules.extend(METADATA.iter().map(|&call| (call, Vec::new())));
    }
    refuse_programs(&mut rules, calls)?;
    refuse_other_processes(&mut rules, calls)?;
    refuse_sockets(&mut rules, calls)?;
    for owner in OWNERS_BY_FCNTL {
        refuse_if(&mut rules, libc::SYS_fcntl, &[(1, equal(), owner)])?;
    }
    for request in REFUSED_IOCTLS {
        refuse_if(&mut rules, libc::SYS_ioctl, &[(1, equal(), request)])?;
    }
    Ok(rules)
}

/// New threads always, new processes if they are allowed, new namespaces never.
fn refuse_programs(rules: &mut Rules, calls: &Calls) -> seccompiler::Result<()> {
    for flag in NAMESPACES {
        refuse_if(rules, libc::SYS_clone, &[(0, masked(flag), flag)])?;
    }
    if calls.subprocesses {
        return Ok(());
    }
    rules.extend(PROGRAMS.iter().map(|&call| (call, Vec::new())));
    let no_thread = (0, masked(libc::CLONE_THREAD), 0);
    refuse_if(rules, libc::SYS_clone, &[no_thread])
}

/// Signals, limits and priorities of other processes.
fn refuse_other_processes(rules: &mut Rules, calls: &Calls) -> seccompiler::Result<()> {
    // SAFETY: takes nothing and cannot fail.
    let own = unsafe { libc::getpid() };
    if !calls.signals {
        for call in [
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_tgkill,
            libc::SYS_rt_sigqueueinfo,
            libc::SYS_rt_tgsigqueueinfo,
        ] {
            refuse_if(rules, call, &[(0, unequal(), own)])?;
        }
        rules.insert(libc::SYS_pidfd_send_signal, Vec::new());
    }
    for (call, argument) in [
        (libc::SYS_prlimit64, 0),
        (libc::SYS_sched_setaffinity, 0),
        (libc::SYS_sched_setscheduler, 0),
        (libc::SYS_sched_setparam, 0),
        (libc::SYS_sched_setattr, 0),
        (libc::SYS_setpriority, 1),
        (libc::SYS_ioprio_set, 1),
    ] {
        let others = [(argument, unequal(), own), (argument, unequal(), 0)];
        refuse_if(rules, call, &others)?;
    }
    Ok(())
}

fn refuse_sockets(rules: &mut Rules, calls: &Calls) -> seccompiler::Result<()> {
    if calls.network {
        let others = FAMILIES.map(|family| (0, unequal(), family));
        refuse_if(rules, libc::SYS_socket, &others)?;
    } else {
        rules.insert(libc::SYS_socket, Vec::new());
    }
    // A pair of datagram sockets could be turned to any local service afterwards.
    for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
        refuse_if(rules, libc::SYS_socketpair, &[(1, masked(0xF), kind)])?;
    }
    Ok(())
}

/// Refuses a call if all of the conditions hold: an argument's place, a comparison, a value.
fn refuse_if(
    rules: &mut Rules,
    call: i64,
    conditions: &[(u8, SeccompCmpOp, libc::c_int)],
) -> seccompiler::Result<()> {
    let conditions = conditions.iter().map(|(argument, comparison, value)| {
        SeccompCondition::new(
            *argument,
            SeccompCmpArgLen::Dword,
            comparison.clone(),
            u64::from(value.cast_unsigned()),
        )
    });
    let rule = SeccompRule::new(conditions.collect::<Result<_, _>>()?)?;
    rules.entry(call).or_default().push(rule);
    Ok(())
}

fn equal() -> SeccompCmpOp {
    SeccompCmpOp::Eq
}

fn unequal() -> SeccompCmpOp {
    SeccompCmpOp::Ne
}

/// The bits of `mask` are those of the value.
fn masked(mask: libc::c_int) -> SeccompCmpOp {
    SeccompCmpOp::MaskedEq(u64::from(mask.cast_unsigned()))
}
