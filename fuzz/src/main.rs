//! Runs targets for a while, without coverage and without a nightly compiler: `drive [--seconds N] [--seed N] [TARGET…]`.

use std::process::ExitCode;
use std::time::Duration;

use sluicegate_fuzz::{TARGETS, Target, campaign};

/// What was asked for.
struct Order {
    seconds: u64,
    seed: u64,
    targets: Vec<&'static Target>,
}

fn main() -> ExitCode {
    match order(std::env::args().skip(1)) {
        Ok(order) => run(&order),
        Err(mistake) => {
            say(&format!(
                "{mistake}\nhint: drive [--seconds N] [--seed N] [TARGET…]"
            ));
            ExitCode::from(64)
        }
    }
}

fn order(mut arguments: impl Iterator<Item = String>) -> Result<Order, String> {
    let mut order = Order {
        seconds: 10,
        seed: 1,
        targets: Vec::new(),
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => order.seconds = number(&argument, arguments.next())?,
            "--seed" => order.seed = number(&argument, arguments.next())?,
            name => order.targets.push(target(name)?),
        }
    }
    if order.targets.is_empty() {
        order.targets = TARGETS.iter().collect();
    }
    Ok(order)
}

fn number(name: &str, value: Option<String>) -> Result<u64, String> {
    let number = value.and_then(|value| value.parse().ok());
    number.ok_or_else(|| format!("`{name}` needs a number"))
}

fn target(name: &str) -> Result<&'static Target, String> {
    let known = || {
        TARGETS
            .iter()
            .map(|target| target.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let found = TARGETS.iter().find(|target| target.name == name);
    found.ok_or_else(|| format!("unknown target `{name}`; there are: {}", known()))
}

fn run(order: &Order) -> ExitCode {
    let mut status = ExitCode::SUCCESS;
    for target in &order.targets {
        let time = Duration::from_secs(order.seconds);
        match campaign::timed(target, time, order.seed) {
            Ok(ran) => say(&format!("{}: {ran} inputs, no find", target.name)),
            Err(find) => {
                say(&format!(
                    "{}: a find after {} inputs: b\"{}\"",
                    target.name,
                    find.after,
                    find.input.escape_ascii()
                ));
                status = ExitCode::FAILURE;
            }
        }
    }
    status
}

#[expect(clippy::print_stdout, reason = "this text is what the command is for")]
fn say(text: &str) {
    println!("{text}");
}
