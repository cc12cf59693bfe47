//! Problems as headers, read back by tonic.

use std::time::Duration;

use axum::http::StatusCode;
use latchwork::web::{GrpcCode, Problem, ProblemKind};
use proptest::prelude::*;
use tonic::{Code, Status};
use tonic_types::StatusExt;

fn read(problem: &Problem) -> Status {
    Status::from_header_map(&problem.grpc_headers()).expect("it has a status")
}

#[test]
fn the_guide_says_which_code_each_problem_has() {
    let guide = include_str!("../../../src/docs/problems.md");
    for &kind in ProblemKind::ALL {
        let row = guide.lines().find(|line| line.starts_with(&format!("| <a id=\"{}\"></a>", kind.slug())));
        let cells: Vec<_> = row.expect("each kind has a row").split(" | ").collect();
        assert_eq!(cells[3], format!("`{}`", kind.grpc_code().name()), "{kind:?}");
    }
}

#[test]
fn tonic_knows_each_code_by_its_number_and_name() {
    let all = [
        GrpcCode::Cancelled,
        GrpcCode::Unknown,
        GrpcCode::InvalidArgument,
        GrpcCode::DeadlineExceeded,
        GrpcCode::NotFound,
        GrpcCode::AlreadyExists,
        GrpcCode::PermissionDenied,
        GrpcCode::ResourceExhausted,
        GrpcCode::FailedPrecondition,
        GrpcCode::Aborted,
        GrpcCode::OutOfRange,
        GrpcCode::Unimplemented,
        GrpcCode::Internal,
        GrpcCode::Unavailable,
        GrpcCode::DataLoss,
        GrpcCode::Unauthenticated,
    ];
    for (number, code) in (1..).zip(all) {
        assert_eq!(code.get(), number);
        assert_eq!(format!("{:?}", Code::from(number)), format!("{code:?}"));
        assert_eq!(code.name().replace('_', ""), format!("{code:?}").to_uppercase());
    }
}

#[test]
fn a_problem_of_ones_own_has_the_code_that_fits_its_status() {
    for (status, code) in [
        (400, Code::InvalidArgument),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::NotFound),
        (409, Code::Aborted),
        (412, Code::FailedPrecondition),
        (416, Code::OutOfRange),
        (422, Code::InvalidArgument),
        (429, Code::ResourceExhausted),
        (500, Code::Internal),
        (501, Code::Unimplemented),
        (502, Code::Internal),
        (503, Code::Unavailable),
        (504, Code::DeadlineExceeded),
        (303, Code::Unknown),
    ] {
        assert_eq!(read(&Problem::new(StatusCode::from_u16(status).unwrap())).code(), code, "{status}");
    }
}

#[test]
fn what_is_not_retryable_says_so_though_it_has_a_time() {
    let status = read(&Problem::queue_full().with_retryable(false));
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "-1");
    assert!(status.get_details_retry_info().is_none());
    let status = read(&Problem::new(StatusCode::CONFLICT).with_retryable(true));
    assert!(status.metadata().get("grpc-retry-pushback-ms").is_none(), "the client chooses");
}

proptest! {
    #[test]
    fn every_message_and_every_wait_can_be_read_back(
        title in any::<String>(),
        detail in proptest::option::of(any::<String>()),
        seconds in 1_u64..=u64::MAX,
    ) {
        let mut problem =
            Problem::new(StatusCode::CONFLICT).with_type("/x", title.clone()).with_retry_after(Duration::from_secs(seconds));
        let mut message = title;
        if let Some(detail) = detail {
            message = format!("{message}: {detail}");
            problem = problem.with_detail(detail);
        }
        let headers = problem.grpc_headers();
        prop_assert!(headers.values().all(|value| value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~'))));
        let status = read(&problem);
        prop_assert_eq!((status.code(), status.message()), (Code::Aborted, &*message));
        let longest = 315_576_000_000;
        let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
        prop_assert_eq!(delay, Some(Duration::from_secs(seconds.min(longest))));
        let pushback = status.metadata().get("grpc-retry-pushback-ms").map(|ms| ms.to_str().unwrap().to_owned());
        prop_assert_eq!(pushback, Some(seconds.saturating_mul(1000).to_string()));
        prop_assert_eq!(status.get_error_details().retry_info().is_some(), true);
    }
}
