//! Requests while their function is changed: its valves a thousand times a second, its code as fast as it loads.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::Options;
use crate::field::Field;
use crate::gateway::CHANGED;
use crate::generator::{Answers, Load};
use crate::management::Management;
use crate::measure::begin;
use crate::peers::Peer;
use crate::report::{Cell, Report, Table};
use crate::rows::load;

/// The title of the table, by which it is chosen.
pub(crate) const TITLE: &str = "changes under load, 500 requests a second";
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(3);
/// Between two changes of valves.
const PACE: Duration = Duration::from_millis(1);
/// Leaves most of two cores to the changes.
const RATE: u32 = 500;

/// What is changed meanwhile.
#[derive(Clone, Copy, Debug)]
enum Change {
    Nothing,
    Valves,
    Code,
}

/// Prints what requests wait and how many changes are made meanwhile.
pub(crate) fn print(field: &Field, options: &Options, report: &mut Report) {
    let Some(python) = &field.python else {
        return;
    };
    let columns = [
        "changes a second",
        "request, median / 99th percentile, µs",
        "failed",
    ];
    let mut table = Table::new(TITLE, &columns);
    let window = if options.is_quick { SHORT } else { LONG };
    let changes = [
        ("nothing", Change::Nothing),
        ("valves, 1,000 a second", Change::Valves),
        ("code, as fast as it loads", Change::Code),
    ];
    for (title, change) in changes {
        let cells = measure(python, change, window);
        table.add(
            title,
            cells.unwrap_or_else(|error| vec![Cell::Text(format!("{error:#}"))]),
        );
    }
    report.add(table);
}

fn measure(python: &Peer, change: Change, window: Duration) -> Result<Vec<Cell>> {
    let management = Management::of(python.addr, LONG)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(install(&management))?;
    let asked = Load {
        rate: Some(RATE),
        ..load(16, 1200, Answers::Whole)
    };
    let running = begin(asked, &python.target(CHANGED))?;
    running.forget_delays();
    let changes = runtime.block_on(change.make(&management, window))?;
    let (mut delays, _) = running.take_delays();
    let failed = running.check().err();
    let median = delays.percentile(0.5).context("nothing was answered")?;
    let last = delays.percentile(0.99).unwrap_or(median);
    Ok(vec![
        Cell::Number((changes as f64 / window.as_secs_f64()).round()),
        Cell::Text(format!("{median} / {last}")),
        Cell::Text(failed.map_or("none".to_owned(), |error| format!("{error:#}"))),
    ])
}

/// A new function in the place of the one before.
async fn install(management: &Management) -> Result<()> {
    let delete = format!("id/{CHANGED}/delete");
    management
        .ask(Method::DELETE, &delete, &Value::Null)
        .await?;
    management.install(CHANGED, &function(0)).await
}

impl Change {
    /// Makes it again and again for as long as `window`; how many changes were acknowledged.
    async fn make(self, management: &Management, window: Duration) -> Result<u64> {
        let end = Instant::now() + window;
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut changes = 0;
        while Instant::now() < end {
            let next = changes + 1;
            match self {
                Self::Nothing => {
                    tokio::time::sleep_until(end).await;
                    return Ok(0);
                }
                Self::Valves => {
                    ticks.tick().await;
                    let path = format!("id/{CHANGED}/valves/update");
                    let valves = json!({"seed": next});
                    management.ask(Method::POST, &path, &valves).await?;
                }
                Self::Code => {
                    let path = format!("id/{CHANGED}/update");
                    let code = function(next);
                    management.ask(Method::POST, &path, &code).await?;
                }
            }
            changes = next;
        }
        Ok(changes)
    }
}

fn function(version: u64) -> Value {
    let content = format!(
        "from pydantic import BaseModel\n\n\nclass Filter:\n    class Valves(BaseModel):\n        seed: int = {version}\n\n    \
         def __init__(self):\n        self.valves = self.Valves()\n\n    \
         def inlet(self, body):\n        body[\"seed\"] = self.valves.seed\n        return body\n"
    );
    json!({"id": CHANGED, "name": "Changed", "content": content, "meta": {"description": ""}})
}
