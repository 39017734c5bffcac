"""The sizes at which one way of computing overtakes another, all measured on two cores.

None of them changes a value, but for rounding. They are read when a graph is made, so that a test can take either way.
"""

# True columns of a row up to which looking for the next one beats listing all; of 1,024 rows.
MOST_WITHOUT_A_LIST = 5

# Entries of a block of rows that are computed together: 4 MiB of float32.
BLOCK = 2**20

# Places of every row that a sorted search looks for at a time.
SLOTS = 8

# Positives of an anchor up to which looking through its negatives for each beats sorting them; of 512 and 1,024 rows.
MOST_FOR_A_SEARCH_LOOP = 16

# Triplets of an anchor up to which looking for the second negative of each beats sorting; of 1,024 rows.
MOST_FOR_A_SECOND_NEGATIVE_LOOP = 8

# Positives of an anchor up to which a pass over its negatives for each beats sorting all their hinges; of 1,024
# rows.
MOST_FOR_A_HINGE_LOOP = 8

# Positives of an anchor up to which a product of two rows for each beats the product of all rows: about 10 of 1,024
# rows, about 40 of 4,096.
MOST_FOR_A_PRODUCT_LOOP = 16
