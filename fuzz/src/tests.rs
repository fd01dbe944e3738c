//! The bounded run: the same inputs every time, a few seconds in all.

use crate::{TARGETS, Target, campaign};

/// Random mutations of each seed.
const MUTATIONS: usize = 40;

fn run(name: &str) {
    let target: &Target = TARGETS
        .iter()
        .find(|target| target.name == name)
        .expect("it is in the list");
    let ran = campaign::bounded(target, MUTATIONS);
    assert!(ran > 100, "{name}: only {ran} inputs");
}

#[test]
fn streams_of_events_read_alike_however_they_are_cut() {
    run("sse");
}

#[test]
fn the_gate_lets_through_what_the_reference_parser_does_and_nothing_ambiguous() {
    run("json");
}

#[test]
fn an_edited_text_says_what_an_edited_tree_says() {
    run("edit");
}

#[test]
fn frames_are_what_their_headers_say() {
    run("frames");
}

#[test]
fn frontmatter_is_what_its_grammar_says() {
    run("frontmatter");
}

#[test]
fn heads_that_pass_are_read_alike_behind_the_check() {
    run("head");
}

#[test]
fn answers_add_up_whatever_chunks_come() {
    run("openai");
}

#[test]
fn translated_streams_are_whole_however_they_are_cut() {
    run("ollama");
}
