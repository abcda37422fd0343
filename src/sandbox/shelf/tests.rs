use super::*;

fn article(number: u64, key: &str, title: &str) -> Article {
    Article {
        number,
        remote_id: format!("E-{number}"),
        record_id: key.to_owned(),
        found_by: vec![key.to_owned()],
        standing: Standing::Live,
        shown: Some(Edition {
            version: 1,
            title: title.to_owned(),
            doc_no: "无".to_owned(),
            column: "P4".to_owned(),
            html: "<p>文</p>".to_owned(),
            facts: vec![("文号".to_owned(), "无".to_owned())],
            attachments: vec![Attachment::new(
                "表.xlsx".to_owned(),
                "application/octet-stream".to_owned(),
                vec![0, 159, 146, 150],
            )],
            form: Value::Null,
            saved_at_ms: 5,
        }),
        pending: None,
    }
}

#[test]
fn a_reopened_shelf_has_the_last_state_of_each_article() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shelf.ndjson");
    let mut shelf = Shelf::open(&path).unwrap();
    shelf.put(article(1, "a", "旧")).unwrap();
    shelf.put(article(2, "b", "乙")).unwrap();
    shelf.put(article(1, "c", "新")).unwrap();
    drop(shelf);

    let shelf = Shelf::open(&path).unwrap();
    assert_eq!(shelf.all().count(), 2);
    assert_eq!(shelf.find("a").count(), 0, "the key was given up");
    assert_eq!(shelf.find("c").next().unwrap(), &article(1, "c", "新"));
    assert_eq!(shelf.next_number(), 3);
}

#[test]
fn a_torn_last_line_is_cut_off_and_writing_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shelf.ndjson");
    let mut shelf = Shelf::open(&path).unwrap();
    shelf.put(article(1, "a", "甲")).unwrap();
    drop(shelf);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"number\":2,\"remo").unwrap();

    let mut shelf = Shelf::open(&path).unwrap();
    assert_eq!(shelf.all().count(), 1);
    shelf.put(article(2, "b", "乙")).unwrap();
    assert_eq!(Shelf::open(&path).unwrap().all().count(), 2);
}

#[test]
fn a_cleared_shelf_stays_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shelf.ndjson");
    let mut shelf = Shelf::open(&path).unwrap();
    shelf.put(article(1, "a", "甲")).unwrap();
    shelf.clear().unwrap();
    shelf.put(article(1, "z", "己")).unwrap();
    let again = Shelf::open(&path).unwrap();
    assert_eq!(again.find("a").count(), 0);
    assert_eq!(again.find("z").count(), 1);
}

#[test]
fn a_remote_id_must_match_in_full() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::open(&dir.path().join("s.ndjson")).unwrap();
    shelf.put(article(1, "a", "甲")).unwrap();
    assert!(shelf.by_remote_id("E-1").is_some());
    assert!(shelf.by_remote_id("1").is_none());
    assert!(shelf.by_remote_id("E-01").is_none());
}
