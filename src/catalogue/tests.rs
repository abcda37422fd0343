use super::*;
use std::fs;

fn shipped() -> Catalogue {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/catalogue");
    Catalogue::load(&dir).unwrap()
}

fn written(units: &str, areas: &str) -> Result<Catalogue, CatalogueError> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("divisions.csv"),
        "code,name\n440200,韶关市\n",
    )
    .unwrap();
    let header = "code,name,aliases,kind,division,supervisor\n";
    fs::write(dir.path().join("units.csv"), format!("{header}{units}")).unwrap();
    fs::write(dir.path().join("areas.toml"), areas).unwrap();
    Catalogue::load(dir.path())
}

#[test]
fn a_unit_is_found_by_code_name_and_alias_however_it_is_spaced() {
    let catalogue = shipped();
    for text in [
        "11440200MB9Y00067P",
        "11440200mb9y00067p",
        "韶关市财政局",
        "市财政局",
        " 市 财　政 局\n",
        "１１４４０２００ＭＢ９Ｙ０００６７Ｐ",
    ] {
        let found = catalogue.unit(text).unwrap_or_else(|| panic!("{text:?}"));
        assert_eq!(found.unit.name, "韶关市财政局");
    }
    assert_eq!(catalogue.unit(""), None);
}

#[test]
fn a_joint_document_names_its_units_lead_first_and_once() {
    let catalogue = shipped();
    let units = catalogue
        .units("市住建局、市发改局，市工商局;市住建局")
        .unwrap();
    let names: Vec<_> = units.iter().map(|unit| unit.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "韶关市住房和城乡建设管理局",
            "韶关市发展和改革局",
            "韶关市工商行政管理局"
        ]
    );
}

#[test]
fn an_unknown_unit_comes_with_those_that_read_like_it() {
    let unknown = shipped().units("市住建局、韶关市财证局").unwrap_err();
    assert_eq!(unknown.text, "韶关市财证局");
    assert!(unknown.nearest.len() <= 3);
    assert!(
        unknown.nearest.contains(&"韶关市财政局".to_owned()),
        "{:?}",
        unknown.nearest
    );
    assert!(shipped().units(" 、 ").is_err());
}

#[test]
fn an_area_is_found_whatever_its_quotation_marks() {
    let catalogue = shipped();
    for text in [
        "A2",
        "a2",
        "财政预算决算和“三公”经费",
        "财政预算决算和\"三公\"经费",
        "财政预算决算和三公经费",
        "三公经费",
    ] {
        assert_eq!(catalogue.area(text).unwrap().key, "A2", "{text}");
    }
    assert_eq!(catalogue.area(""), None);
    assert_eq!(catalogue.nearest_areas("环境保户", 1), ["环境保护"]);
}

#[test]
fn all_divisions_and_areas_are_there() {
    let catalogue = shipped();
    assert_eq!(catalogue.all_divisions().len(), 11);
    assert_eq!(catalogue.all_areas().len(), 14);
}

#[test]
fn a_name_that_means_two_units_is_refused_with_file_and_line() {
    let error = written(
        "11440200MB9Y00016F,甲局,市局,机关,440200,\n11440200MB9Y00024A,乙局,市局,机关,440200,\n",
        "area = []",
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("units.csv, line 3"), "{error}");
    assert!(error.contains("市局"), "{error}");
}

#[test]
fn a_unit_outside_the_divisions_is_refused() {
    let error = written("11440200MB9Y00016F,甲局,,机关,449999,\n", "area = []")
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 2"), "{error}");
    assert!(error.contains("449999"), "{error}");
}

#[test]
fn an_area_key_given_twice_is_refused_with_its_line() {
    let areas = "[[area]]\nkey = \"A1\"\nname = \"甲\"\n\n[[area]]\nkey = \"A1\"\nname = \"乙\"\n";
    let error = written("", areas).unwrap_err().to_string();
    assert!(error.contains("areas.toml, line 5"), "{error}");
}
