//! Programs that would be wrong: the compiler must refuse them, and say why.

#[test]
fn programs_that_would_be_wrong_do_not_compile() {
    let cases = trybuild::TestCases::new();
    // The words of the compiler are those of the toolchain that the repository is developed with.
    cases.compile_fail("cases/*.rs");
    cases.compile_fail("cases/layer/*.rs");
}
