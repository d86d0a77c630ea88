! Allocates an array of reals and keeps it.
module held
    use iso_c_binding
    implicit none
    real(c_double), allocatable, save :: kept(:)
contains
    subroutine make_fortran(count) bind(c)
        integer(c_int64_t), intent(in) :: count
        allocate (kept(count))
        kept = 1.0d0
    end subroutine
end module
