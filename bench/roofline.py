def roofline(plan, references):
    """## Distance from the arithmetic limit

    X
    """
    return ""
