//! How findings are shown.

use super::*;

#[test]
fn findings_are_aligned_and_each_is_one_clean_line() {
    let checks = vec![
        check("a", CheckStatus::Ok, "fine", ""),
        check("longer", CheckStatus::Fail, "broken\n\u{1b}[31mred", "mend\nit"),
    ];
    let text = in_text(&Group { instance: "x".to_owned(), checks });
    let expected = "x\n  ok    a       fine\n  fail  longer  broken ␛[31mred\n                -> mend it\n";
    assert_eq!(text, expected);
}

#[test]
fn a_document_counts_what_it_lists() {
    let group = |instance: &str, status| {
        let checks = vec![check("a", status, "said", "")];
        Group { instance: instance.to_owned(), checks }
    };
    let groups = [group("host", CheckStatus::Warn), group("x", CheckStatus::Fail)];
    let document: serde_json::Value = serde_json::from_str(&in_json(&groups)).unwrap();
    assert_eq!((&document["ok"], &document["warn"], &document["fail"]), (&json!(0), &json!(1), &json!(1)));
    let expected = json!({ "name": "a", "status": "fail", "summary": "said", "recovery": "" });
    assert_eq!(document["groups"][1], json!({ "instance": "x", "checks": [expected] }));
}

#[test]
fn a_long_finding_is_cut_in_its_middle_and_keeps_its_remedy() {
    let line = one_line(&format!("{}; restart it", "é".repeat(LINE_CHARS_MAX)));
    assert_eq!(line.chars().count(), LINE_CHARS_MAX + 3);
    assert!(line.contains('…') && line.ends_with("; restart it"), "{line}");
}
