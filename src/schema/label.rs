//! The names of fields as a clerk knows them.

/// Returns the Chinese name of the field at `pointer`.
pub(crate) fn label(pointer: &str) -> String {
    let mut parts = pointer.split('/').skip(1);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (None | Some(""), ..) => "提交内容".to_owned(),
        (Some("entry"), Some("attachments"), Some(place), field) => {
            let number = place.parse::<usize>().map_or(1, |place| place + 1);
            let field = field.map_or("", attachment_field);
            format!("第{number}个附件{field}")
        }
        (Some("entry"), Some("keywords"), Some(place), _) => {
            let number = place.parse::<usize>().map_or(1, |place| place + 1);
            format!("第{number}个主题词")
        }
        (Some("entry"), Some("body"), Some(field), _) => match field {
            "format" => "正文格式".to_owned(),
            "content" => "正文内容".to_owned(),
            other => unnamed(other),
        },
        (Some("entry"), Some("project"), Some(field), _) => match field {
            "code" => "项目编码".to_owned(),
            "name" => "项目名称".to_owned(),
            "owner" => "建设单位".to_owned(),
            "group" => "项目组别".to_owned(),
            "fields" => "项目字段".to_owned(),
            other => unnamed(other),
        },
        (Some("entry"), Some("credit"), Some(field), _) => match field {
            "subject" => "信用主体名称".to_owned(),
            "uscc" => "统一社会信用代码".to_owned(),
            "group" => "信用组别".to_owned(),
            "fields" => "信用字段".to_owned(),
            other => unnamed(other),
        },
        (Some("entry"), Some(field), ..) => entry_field(field),
        (Some(field), ..) => match field {
            "source_id" => "来源文件编号（source_id）".to_owned(),
            "revision" => "修订号（revision）".to_owned(),
            "action" => "操作（action）".to_owned(),
            "reason" => "撤回原因".to_owned(),
            "entry" => "信息条目（entry）".to_owned(),
            other => unnamed(other),
        },
    }
}

fn entry_field(field: &str) -> String {
    match field {
        "title" => "标题",
        "doc_no" => "文号",
        "unit" => "发布机构",
        "written_on" => "成文日期",
        "disclosure" => "公开方式",
        "area" => "重点领域",
        "column" => "栏目",
        "genre" => "体裁",
        "keywords" => "主题词",
        "abstract" => "内容概述",
        "index_no" => "索引号",
        "body" => "正文",
        "attachments" => "附件",
        "project" => "工程建设项目信息",
        "credit" => "信用信息",
        other => return unnamed(other),
    }
    .to_owned()
}

fn attachment_field(field: &str) -> &'static str {
    match field {
        "name" => "的名称",
        "media_type" => "的类型",
        "content_base64" => "的内容",
        "url" => "的地址",
        "sha256" => "的校验值",
        "bytes" => "的大小（字节）",
        _ => "的字段",
    }
}

fn unnamed(field: &str) -> String {
    let field: String = field.chars().take(40).collect();
    format!("字段“{field}”")
}
