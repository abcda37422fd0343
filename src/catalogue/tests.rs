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
    let columns = "[default]\ndeadline = { working_days = 20 }\n";
    fs::write(dir.path().join("columns.toml"), columns).unwrap();
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

/// The shipped catalogue with some texts replaced: (file, what, by what).
fn changed(changes: &[(&str, &str, &str)]) -> Result<Catalogue, CatalogueError> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/catalogue");
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("calendar")).unwrap();
    for folder in ["", "calendar"] {
        for entry in fs::read_dir(shipped.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let to = dir.path().join(folder).join(path.file_name().unwrap());
                fs::copy(path, to).unwrap();
            }
        }
    }
    for (file, what, by) in changes {
        let path = dir.path().join(file);
        let text = fs::read_to_string(&path).unwrap_or_default();
        assert!(text.contains(what), "{file} has no {what}");
        fs::write(&path, text.replacen(what, by, 1)).unwrap();
    }
    Catalogue::load(dir.path())
}

fn problems(changes: &[(&str, &str, &str)]) -> Vec<String> {
    let error = changed(changes).expect_err("something is wrong");
    error.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn every_column_of_the_samples_is_known_in_its_area() {
    let catalogue = shipped();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/native");
    let mut seen = 0;
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let sample: serde_json::Value = serde_json::from_str(&text).unwrap();
        let entry = &sample["entry"];
        let (Some(area), Some(column)) = (entry["area"].as_str(), entry["column"].as_str()) else {
            continue;
        };
        let area = catalogue.area(area).map(|area| area.key.as_str());
        let named = catalogue.column(area, column);
        assert!(
            matches!(named, NamedColumn::Known(it) if it.name == column),
            "{area:?} {column}: {named:?}"
        );
        seen += 1;
    }
    assert!(seen > 25);
    for (area, column) in [
        ("B2", "主要信息"),
        ("B5", "业务公开"),
        ("A1", "招标投标"),
        ("A3", "开工竣工情况"),
        ("A6", "事故信息"),
    ] {
        assert!(
            matches!(catalogue.column(Some(area), column), NamedColumn::Known(_)),
            "{column}"
        );
    }
}

#[test]
fn a_column_belongs_to_its_area_or_to_any() {
    let catalogue = shipped();
    let name = |named| match named {
        NamedColumn::Known(column) => {
            format!("{} {}", column.area.as_deref().unwrap_or("*"), column.name)
        }
        other => format!("{other:?}").split('(').next().unwrap().to_owned(),
    };
    for (area, text, expected) in [
        (Some("A2"), "“三公”经费", "A2 三公经费"),
        (Some("A7"), "收费目录", "A7 收费目录与标准"),
        (Some("A7"), " 信用　信息", "* 信用信息"),
        (None, "信用信息", "* 信用信息"),
        (Some("A7"), "三公经费", "Unknown"),
        (None, "三公经费", "WithoutArea"),
        (None, "主要信息", "Ambiguous"),
        (None, "没有的栏目", "Unknown"),
    ] {
        assert_eq!(
            name(catalogue.column(area, text)),
            expected,
            "{area:?} {text}"
        );
    }
    assert_eq!(
        catalogue.nearest_columns(Some("A2"), "三工经费", 1),
        ["三公经费"]
    );
}

#[test]
fn a_former_name_still_means_the_unit_and_is_told_apart() {
    let catalogue = shipped();
    let unit = catalogue.unit("曲江县人民政府").unwrap();
    assert_eq!(unit.unit.name, "韶关市曲江区人民政府");
    let (former, unit) = catalogue.former_name("曲江县 人民政府").unwrap();
    assert_eq!(
        (former, unit.unit.division.as_str()),
        ("曲江县人民政府", "440205")
    );
    assert!(catalogue.former_name("曲江区政府").is_none());
}

#[test]
fn everything_that_contradicts_itself_is_told_at_once() {
    let told = problems(&[
        (
            "divisions.csv",
            "440203,武江区",
            "440203,武江区\n440203,又一个",
        ),
        ("units.csv", ",韶关市教育局,", ",韶关市教育委员会,"),
        ("units.csv", "市财政局|市财局", "市财政局|市审计局"),
        (
            "areas.toml",
            "aliases = [\"保障房\"",
            "aliases = [\"高校\", \"保障房\"",
        ),
        ("columns.toml", "area = \"A1\"", "area = \"A0\""),
        (
            "columns.toml",
            "owner = \"韶关市审计局\"",
            "owner = \"市审计署\"",
        ),
        (
            "columns.toml",
            "{ monthly_by = 10 }\nowner",
            "{ monthly_by = 40 }\nowner",
        ),
        (
            "codes.csv",
            "platform,unit,code\n",
            "platform,unit,code\nx,没有的局,1\nx,市财政局,2\nx,韶关市财政局,3\n",
        ),
        ("calendar/2014.toml", "\"2014-01-26\"", "\"2014-01-27\""),
        (
            "calendar/2014.toml",
            "\"2014-10-01/2014-10-07\"",
            "\"2014-10-01/2014-11-07\"",
        ),
        ("calendar/2015.toml", "year = 2015", "year = 2016"),
    ]);
    for (file, part) in [
        ("divisions.csv, line 4", "440203 is there already"),
        ("units.csv, line 34", "supervisor \"韶关市教育局\""),
        ("units.csv", "\"市审计局\" already means \"韶关市财政局\""),
        ("areas.toml", "\"高校\" already means"),
        ("columns.toml", "area \"A0\""),
        ("columns.toml", "市审计署"),
        ("columns.toml", "monthly_by"),
        ("codes.csv, line 2", "没有的局"),
        ("codes.csv, line 4", "already"),
        ("2014.toml", "2014-01-27 is worked anyway"),
        ("2014.toml", "2014-10-01/2014-11-07"),
        ("2015.toml", "the file of 2016"),
    ] {
        assert!(
            told.iter().any(|it| it.contains(file) && it.contains(part)),
            "{file} {part} is not in {told:#?}"
        );
    }
}

#[test]
fn a_misspelt_key_is_refused_with_its_line() {
    let told = problems(&[(
        "columns.toml",
        "requires = [\"doc_no\"]",
        "require = [\"doc_no\"]",
    )]);
    assert!(
        told[0].contains("columns.toml, line ") && told[0].contains("require"),
        "{told:?}"
    );
    let told = problems(&[(
        "columns.toml",
        "requires = [\"doc_no\"]",
        "requires = [\"title_no\"]",
    )]);
    assert!(told[0].contains("title_no"), "{told:?}");
}

#[test]
fn codes_on_platforms_are_found_by_the_units_own_code() {
    let catalogue = changed(&[(
        "codes.csv",
        "platform,unit,code\n",
        "platform,unit,code\nportal,市财政局,0751-CZ\n",
    )])
    .unwrap();
    let codes = catalogue.codes_on("portal");
    assert_eq!(
        codes.get("11440200MB9Y00067P").map(String::as_str),
        Some("0751-CZ")
    );
    assert!(catalogue.codes_on("other").is_empty());
    assert!(catalogue.platforms().contains("portal"));
}

#[test]
fn only_what_a_catalogue_says_makes_a_version() {
    let same = changed(&[("areas.toml", "[[area]]", "# a comment\n\n[[area]]")]).unwrap();
    assert_eq!(same.sha256(), shipped().sha256());
    let renamed = changed(&[(
        "units.csv",
        "韶关市审计局,市审计局",
        "韶关市审计委员会,市审计局|韶关市审计局",
    )])
    .unwrap();
    assert_ne!(renamed.sha256(), shipped().sha256());
    let changes = catalogue_changes(&shipped().content(), &renamed.content());
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(
        (changes[0].key.as_str(), changes[0].fields.join(",")),
        ("11440200MB9Y00075J", "name,aliases".to_owned())
    );
}
